SELECT '0:0:' AS floor, '' AS scope
