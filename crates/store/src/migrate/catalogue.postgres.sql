-- Everything the migrations make, as (what it is, how it is defined). The months of the log come and go by the clock.
-- (A dump that was loaded again writes casts of a list otherwise: they go, so that a restored database has no drift.)
-- Whoever migrates owns what is not app_definer's; its name differs from house to house, and it holds every right.
WITH migrates AS (SELECT relowner AS role FROM pg_class WHERE oid = 'public.schema_migrations'::regclass),
rel AS (
    SELECT c.oid, c.relname, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relacl, c.relowner
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relname !~ '^system_logs_\d{4}_\d{2}'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
)
SELECT kind || ' ' || name, regexp_replace(regexp_replace(definition, '\(''([^'']*)''::character varying\)::text', '''\1''::character varying', 'g'),
    '\((ARRAY\[[^]]*\])\)::text\[\]', '\1', 'g') FROM (
    SELECT 'table' AS kind, relname::text AS name, format('kind %s, owner %s, row security %s, forced %s, options %s', relkind,
        CASE WHEN relowner = (SELECT role FROM migrates) THEN 'who migrates' ELSE relowner::regrole::text END, relrowsecurity, relforcerowsecurity, reloptions::text) AS definition
    FROM rel WHERE relkind IN ('r', 'p', 'v')
    UNION ALL
    SELECT 'column', relname || '.' || attname, format('%s%s default %s', format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' not null' END, pg_get_expr(adbin, adrelid))
    FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid LEFT JOIN pg_attrdef d ON d.adrelid = rel.oid AND d.adnum = a.attnum
    WHERE relkind IN ('r', 'p', 'v') AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'constraint', rel.relname || '.' || conname, pg_get_constraintdef(o.oid) || CASE WHEN convalidated THEN '' ELSE ' not valid' END
    FROM rel JOIN pg_constraint o ON o.conrelid = rel.oid
    UNION ALL
    SELECT 'index', relname::text, pg_get_indexdef(oid) FROM rel WHERE relkind IN ('i', 'I')
    UNION ALL
    SELECT 'trigger', rel.relname || '.' || tgname, pg_get_triggerdef(t.oid) || ' enabled ' || tgenabled::text
    FROM rel JOIN pg_trigger t ON t.tgrelid = rel.oid WHERE NOT tgisinternal
    UNION ALL
    SELECT 'policy', tablename || '.' || policyname, format('%s %s to %s using %s check %s', permissive, cmd, roles::text, qual, with_check)
    FROM pg_policies WHERE schemaname = 'public' AND tablename !~ '^system_logs_\d{4}_\d{2}'
    UNION ALL
    SELECT 'view', relname::text, pg_get_viewdef(oid) FROM rel WHERE relkind = 'v'
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
      || ' owner ' || CASE WHEN p.proowner = (SELECT role FROM migrates) THEN 'who migrates' ELSE p.proowner::regrole::text END
      || ' granted to ' || COALESCE((SELECT string_agg(DISTINCT COALESCE(g.rolname, 'PUBLIC'), ', ' ORDER BY COALESCE(g.rolname, 'PUBLIC'))
         FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) x LEFT JOIN pg_roles g ON g.oid = x.grantee
         WHERE x.grantee <> p.proowner), 'nobody else')
    FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prokind = 'f'
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    UNION ALL
    SELECT 'grant', rel.relname || ' to ' || COALESCE(g.rolname, 'PUBLIC'), string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)
    FROM rel CROSS JOIN LATERAL aclexplode(relacl) x LEFT JOIN pg_roles g ON g.oid = x.grantee
    WHERE relkind IN ('r', 'p', 'v') AND x.grantee <> relowner GROUP BY rel.relname, g.rolname
    UNION ALL
    SELECT 'column grant', rel.relname || '.' || attname || ' to ' || COALESCE(g.rolname, 'PUBLIC'), string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type)
    FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid CROSS JOIN LATERAL aclexplode(attacl) x LEFT JOIN pg_roles g ON g.oid = x.grantee
    WHERE attnum > 0 AND NOT attisdropped GROUP BY rel.relname, attname, g.rolname
) found ORDER BY 1, 2
