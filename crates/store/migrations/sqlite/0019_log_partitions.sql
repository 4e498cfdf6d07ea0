-- system_logs has no partitions on SQLite: one file, one table, and retention deletes by timestamp. The second name stays
-- usable, for reads and writes.
CREATE VIEW system_logs_partitioned AS
SELECT id, timestamp, level, module, message, user_id, task_id, request_id, ip_address, user_agent, metadata FROM system_logs;
CREATE TRIGGER trg_system_logs_partitioned_ins INSTEAD OF INSERT ON system_logs_partitioned
BEGIN
    INSERT INTO system_logs (id, timestamp, level, module, message, user_id, task_id, request_id, ip_address, user_agent, metadata)
    VALUES (coalesce(NEW.id, (lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' ||
        substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))))),
        coalesce(NEW.timestamp, now()), NEW.level, NEW.module, NEW.message, NEW.user_id, NEW.task_id, NEW.request_id, NEW.ip_address, NEW.user_agent, NEW.metadata);
END;
