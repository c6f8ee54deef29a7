"""The queries that list what a database contains; their rows are equal for equal databases on different servers.

Every kind of object that ``pg_dump`` writes has its query (``tests/postgresql/test_inventory.py``). What only newer
versions have in a catalog is read through ``to_json``. Each version prints a body in SQL with other qualifiers.
Names are qualified because sessions set ``search_path`` to ``pg_catalog`` (``connection.SESSION_OPTIONS``).
"""

from __future__ import annotations

OWN_SCHEMAS = (
    "n.nspname NOT IN ('pg_catalog', 'information_schema', 'orchestrator_migration') "
    "AND n.nspname !~ '^pg_(toast|temp)'"
)
FIRST_USER_OID = 16384
"""Objects below it come with the server (FirstNormalObjectId in PostgreSQL's ``transam.h``)."""


def _not_of_extension(oid: str) -> str:
    """Return the condition that no extension brings the object; ``objid`` alone is not unique over catalogs."""
    alias = oid.partition(".")[0]
    return (
        f"NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = {alias}.tableoid AND d.objid = {oid} "
        "AND d.deptype = 'e')"
    )


def _sorted_options(column: str) -> str:
    """Return the expression for options such as ``{host=a,dbname=b}`` in an order that does not depend on history."""
    return f"(SELECT array_agg(o ORDER BY o)::text FROM unnest({column}) o)"  # noqa: S608


HEADER_SQL = """
SELECT current_setting('server_version') AS version, pg_database_size(current_database()) AS bytes,
  pg_encoding_to_char(encoding) AS encoding, datcollate AS collation,
  current_setting('max_connections') AS max_connections, current_user AS username
FROM pg_database WHERE datname = current_database()"""
TABLES_SQL = f"""
SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_table_size(c.oid) AS bytes,
  (SELECT min(format('%I', a.attname)) FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
     AND a.attnum > 0 AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
     AND a.attname ~* 'creat|insert|date|time|_at$') AS time_column
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {OWN_SCHEMAS} AND {_not_of_extension("c.oid")}
ORDER BY 1"""  # noqa: S608 - constants only
SEQUENCES_SQL = f"""
SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_sequence_last_value(c.oid)::text AS value
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND {OWN_SCHEMAS} AND {_not_of_extension("c.oid")}"""  # noqa: S608 - constants only
LARGE_OBJECTS_SQL = """
SELECT count(*)::text AS rows, coalesce(sum(('x' || substr(md5(oid::text || md5(lo_get(oid))), 1, 15))::bit(60)::bigint
  ::numeric), 0)::text AS checksum FROM pg_largeobject_metadata"""
_CONSTRAINTS_SQL = f"""
SELECT 'constraint' AS kind, format('%I on %s', k.conname,
    CASE WHEN k.conrelid <> 0 THEN k.conrelid::regclass::text ELSE k.contypid::regtype::text END) AS name,
  pg_get_constraintdef(k.oid) || CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END AS definition
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
WHERE k.contype <> 'n' AND {OWN_SCHEMAS}"""  # noqa: S608 - constants only
_INDEXES_SQL = f"""
SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
  || CASE WHEN i.indisclustered THEN ' CLUSTER' ELSE '' END || CASE WHEN i.indisreplident THEN ' REPLICA' ELSE '' END
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {OWN_SCHEMAS} AND i.indisvalid"""  # noqa: S608 - constants only
_COLUMNS_SQL = f"""
SELECT 'column', format('%s.%I', a.attrelid::regclass, a.attname), concat_ws(' ',
  format_type(a.atttypid, a.atttypmod), CASE WHEN a.attcollation <> t.typcollation
    THEN (SELECT format('COLLATE %I.%I', m.nspname, l.collname) FROM pg_collation l
      JOIN pg_namespace m ON m.oid = l.collnamespace WHERE l.oid = a.attcollation) END,
  CASE WHEN a.attnotnull THEN 'NOT NULL' END, nullif(a.attgenerated::text, ''), nullif(a.attidentity::text, ''),
  'DEFAULT ' || pg_get_expr(x.adbin, x.adrelid), 'STORAGE ' || nullif(a.attstorage::text, t.typstorage::text),
  'COMPRESSION ' || nullif(to_json(a) ->> 'attcompression', ''), 'STATISTICS ' || nullif(a.attstattarget, -1),
  {_sorted_options("a.attoptions")}, {_sorted_options("a.attfdwoptions")})
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef x ON x.adrelid = a.attrelid AND x.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f') AND {OWN_SCHEMAS}
  AND {_not_of_extension("c.oid")}"""  # noqa: S608 - constants only
_TABLE_OPTIONS_SQL = f"""
SELECT 'table definition', c.oid::regclass::text, concat_ws(' ', c.relkind, c.relpersistence, c.relreplident,
  CASE WHEN c.relrowsecurity THEN 'row security' END, CASE WHEN c.relforcerowsecurity THEN 'forced' END,
  {_sorted_options("c.reloptions")}, pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid),
  (SELECT string_agg(h.inhparent::regclass::text, ', ' ORDER BY h.inhseqno) FROM pg_inherits h
    WHERE h.inhrelid = c.oid))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND {OWN_SCHEMAS}
  AND {_not_of_extension("c.oid")}"""  # noqa: S608 - constants only
_VIEWS_SQL = f"""
SELECT 'view', c.oid::regclass::text, concat_ws(' ', pg_get_viewdef(c.oid), {_sorted_options("c.reloptions")},
  CASE WHEN NOT c.relispopulated THEN '(empty)' END)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND {OWN_SCHEMAS} AND {_not_of_extension("c.oid")}
UNION ALL
SELECT 'rule', format('%I on %s', r.rulename, r.ev_class::regclass), pg_get_ruledef(r.oid) || r.ev_enabled::text
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.rulename <> '_RETURN' AND {OWN_SCHEMAS} AND {_not_of_extension("c.oid")}"""  # noqa: S608 - constants only
_FUNCTIONS_SQL = f"""
SELECT 'function', p.oid::regprocedure::text, md5(CASE WHEN to_json(p) ->> 'prosqlbody' IS NULL
    THEN pg_get_functiondef(p.oid)
    ELSE regexp_replace(pg_get_functiondef(p.oid), '("[^"]*"|[[:alnum:]_$]+)[.]', '', 'g') END)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind <> 'a' AND {OWN_SCHEMAS} AND {_not_of_extension("p.oid")}
UNION ALL
SELECT 'aggregate', p.oid::regprocedure::text, concat_ws(' ', g.aggtransfn::regprocedure, g.aggfinalfn::regproc,
  g.aggcombinefn::regproc, g.aggtranstype::regtype, g.agginitval, p.proparallel)
FROM pg_aggregate g JOIN pg_proc p ON p.oid = g.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE {OWN_SCHEMAS} AND {_not_of_extension("p.oid")}
UNION ALL
SELECT 'trigger', format('%I on %s', t.tgname, t.tgrelid::regclass), pg_get_triggerdef(t.oid) || t.tgenabled::text
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND {OWN_SCHEMAS}"""  # noqa: S608 - constants only
_TYPES_SQL = f"""
SELECT 'type', t.oid::regtype::text, concat_ws(' ', t.typtype,
  (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e
    WHERE e.enumtypid = t.oid),
  (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT format('%s %s %s', r.rngsubtype::regtype, r.rngcanonical, r.rngsubdiff) FROM pg_range r
    WHERE r.rngtypid = t.oid),
  CASE WHEN t.typtype = 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
    CASE WHEN t.typnotnull THEN 'NOT NULL' END, t.typdefault) END)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'b' AND t.typcategory <> 'A' OR c.relkind = 'c')
  AND {OWN_SCHEMAS} AND {_not_of_extension("t.oid")}"""  # noqa: S608 - constants only
_FOREIGN_SQL = f"""
SELECT 'foreign table', c.oid::regclass::text, concat_ws(' ', s.srvname, {_sorted_options("f.ftoptions")})
FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_foreign_server s ON s.oid = f.ftserver
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OWN_SCHEMAS}
UNION ALL
SELECT 'foreign server', s.srvname, concat_ws(' ', w.fdwname, s.srvtype, s.srvversion,
  {_sorted_options("s.srvoptions")})
FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE {_not_of_extension("s.oid")}
UNION ALL
SELECT 'user mapping', u.srvname, count(*)::text FROM pg_user_mappings u
GROUP BY u.srvname"""  # noqa: S608 - constants only
_SECURITY_SQL = f"""
SELECT 'policy', format('%I on %s', p.polname, p.polrelid::regclass), concat_ws(' ', p.polcmd, p.polpermissive,
  (SELECT string_agg(coalesce(a.rolname, 'public'), ', ' ORDER BY a.rolname) FROM unnest(p.polroles) r
    LEFT JOIN pg_roles a ON a.oid = r),
  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
FROM pg_policy p
UNION ALL
SELECT 'schema', quote_ident(n.nspname), '' FROM pg_namespace n WHERE {OWN_SCHEMAS} AND {_not_of_extension("n.oid")}
UNION ALL
SELECT 'statistics', format('%I.%I', n.nspname, s.stxname), pg_get_statisticsobjdef(s.oid)
FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE {OWN_SCHEMAS}
UNION ALL
SELECT 'sequence definition', q.seqrelid::regclass::text, concat_ws(' ', q.seqtypid::regtype, q.seqstart,
  q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle,
  (SELECT format('%s.%s', d.refobjid::regclass, a.attname) FROM pg_depend d
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = q.seqrelid AND d.deptype IN ('a', 'i')
    AND d.refclassid = 'pg_class'::regclass LIMIT 1))
FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {OWN_SCHEMAS} AND {_not_of_extension("c.oid")}"""  # noqa: S608 - constants only
_NAMED_CATALOGS = (
    "pg_cast", "pg_operator", "pg_opclass", "pg_opfamily", "pg_collation", "pg_conversion", "pg_ts_config",
    "pg_ts_dict", "pg_ts_parser", "pg_ts_template", "pg_event_trigger", "pg_publication", "pg_transform", "pg_language",
    "pg_am", "pg_foreign_data_wrapper",
)  # fmt: skip
"""Catalogs of rare objects, which are compared by their names."""
_RARE_SQL = "\nUNION ALL\n".join(
    f"SELECT '{catalog.removeprefix('pg_').replace('_', ' ')}', pg_describe_object(o.tableoid, o.oid, 0), '' "  # noqa: S608
    f"FROM {catalog} o WHERE o.oid >= {FIRST_USER_OID} AND {_not_of_extension('o.oid')}"
    for catalog in _NAMED_CATALOGS
)
_COMMENTS_SQL = f"""
SELECT 'comment', pg_describe_object(o.classoid, o.objoid, o.objsubid), md5(o.description) FROM pg_description o
WHERE o.objoid >= {FIRST_USER_OID} AND o.classoid <> 'pg_extension'::regclass
  AND o.classoid <> 'pg_largeobject'::regclass
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = o.classoid AND d.objid = o.objoid AND d.deptype = 'e')
  AND pg_describe_object(o.classoid, o.objoid, o.objsubid) IS NOT NULL"""  # noqa: S608 - constants only
_QUERIES = (
    _CONSTRAINTS_SQL, _INDEXES_SQL, _COLUMNS_SQL, _TABLE_OPTIONS_SQL, _VIEWS_SQL, _FUNCTIONS_SQL, _TYPES_SQL,
    _FOREIGN_SQL, _SECURITY_SQL, _RARE_SQL, _COMMENTS_SQL,
)  # fmt: skip
OBJECTS_SQL = "\nUNION ALL\n".join(_QUERIES)
"""Every definition, as ``kind``, ``name`` and ``definition``."""
ROLES_SQL = f"""
SELECT DISTINCT r.rolname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT c.relowner AS oid UNION SELECT grantee FROM aclexplode(c.relacl)) x
JOIN pg_roles r ON r.oid = x.oid WHERE {OWN_SCHEMAS} AND r.rolname <> current_user ORDER BY 1"""  # noqa: S608
"""The other roles that own a table, view or sequence, or have a privilege on one."""
REQUIRED_ROLES_SQL = """
SELECT DISTINCT r.rolname AS name FROM pg_policy p CROSS JOIN LATERAL unnest(p.polroles) x JOIN pg_roles r ON r.oid = x
UNION SELECT usename FROM pg_user_mappings WHERE umuser <> 0 ORDER BY 1"""
"""The roles without which a definition cannot be created: those of policies and user mappings."""
