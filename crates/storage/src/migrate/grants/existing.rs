//! The rights of our users and of `public` in a database, from its catalogue.

use sqlx::PgConnection;

use super::Right;
use crate::{StorageError, migrate::roles::Role};

pub(super) struct Existing {
    pub(super) right: Right,
    pub(super) grantable: bool,
    /// Whether the object is ours, so that revoking can work.
    pub(super) revocable: bool,
}

/// Rights to the database, the schema `public` and everything in schemas that are not the server's or an extension's.
pub(super) async fn rights(connection: &mut PgConnection) -> Result<Vec<Existing>, StorageError> {
    let rows: Vec<(String, String, String, bool, bool)> = sqlx::query_as(
        "with objects (object, acl, owner, part) as (
           select format('database %I', datname), coalesce(datacl, acldefault('d', datdba)), datdba, ''
           from pg_database where datname = current_database()
           union all
           select format('schema %I', nspname), coalesce(nspacl, acldefault('n', nspowner)), nspowner, ''
           from pg_namespace where nspname = 'public'
           union all
           select format('%s %I.%I', case relkind when 'S' then 'sequence' else 'table' end, nspname, relname),
                  coalesce(relacl, acldefault(case relkind when 'S' then 's'::\"char\" else 'r' end, relowner)), relowner, ''
           from pg_class c join pg_namespace n on n.oid = relnamespace
           where relkind in ('r', 'p', 'v', 'm', 'f', 'S') and nspname not like 'pg\\_%' and nspname <> 'information_schema'
             and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and deptype = 'e')
           union all
           select format('table %I.%I', nspname, relname), attacl, relowner, format(' (%I)', attname)
           from pg_attribute a join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace
           where attacl is not null and not attisdropped and nspname not like 'pg\\_%' and nspname <> 'information_schema'
           union all
           select format('routine %I.%I(%s)', nspname, proname, pg_get_function_identity_arguments(f.oid)),
                  coalesce(proacl, acldefault('f', proowner)), proowner, ''
           from pg_proc f join pg_namespace n on n.oid = pronamespace
           where nspname = 'public'
             and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = f.oid and deptype = 'e'))
         select object, case when x.grantee = 0 then 'public' else r.rolname::text end, x.privilege_type || part, x.is_grantable,
                pg_has_role(owner, 'USAGE')
         from objects, aclexplode(acl) x left join pg_roles r on r.oid = x.grantee
         where (x.grantee = 0 or r.rolname = any($1)) and x.grantee <> owner
         order by 1, 2, 3",
    )
    .bind(names())
    .fetch_all(connection)
    .await?;
    let existing = |(object, grantee, privilege, grantable, revocable)| Existing {
        right: Right {
            object,
            grantee,
            privilege,
        },
        grantable,
        revocable,
    };
    Ok(rows.into_iter().map(existing).collect())
}

/// Statements against rights that our users would get to objects that are created later.
pub(super) async fn defaults(connection: &mut PgConnection) -> Result<Vec<String>, StorageError> {
    let statements = sqlx::query_scalar(
        "select distinct format('alter default privileges for role %I %s revoke all on %s from %I', pg_get_userbyid(defaclrole),
             case when defaclnamespace <> 0 then format('in schema %I', n.nspname) end,
             case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'routines' when 'T' then 'types'
               else 'schemas' end, r.rolname)
         from pg_default_acl d left join pg_namespace n on n.oid = defaclnamespace, aclexplode(defaclacl) x
         join pg_roles r on r.oid = x.grantee
         where r.rolname = any($1) and r.oid <> defaclrole and defaclobjtype in ('r', 'S', 'f', 'T', 'n')
           and pg_has_role(defaclrole, 'USAGE')",
    );
    Ok(statements.bind(names()).fetch_all(connection).await?)
}

/// Statements against memberships that give rights to data: in the server's own roles (`pg_read_all_data`, …), in the
/// owner, and in each other.
pub(super) async fn memberships(connection: &mut PgConnection) -> Result<Vec<String>, StorageError> {
    let statements = sqlx::query_scalar(
        "select format('revoke %I from %I cascade', g.rolname, m.rolname)
         from pg_auth_members join pg_roles g on g.oid = roleid join pg_roles m on m.oid = member
         where m.rolname = any($1) and (g.rolname like 'pg\\_%' or g.rolname = any($1) or g.rolname = current_user)
           and (select rolsuper from pg_roles where rolname = current_user)",
    );
    Ok(statements.bind(names()).fetch_all(connection).await?)
}

/// Warnings about privileges that no `revoke` in a database removes.
pub(super) async fn powers(connection: &mut PgConnection) -> Result<Vec<String>, StorageError> {
    let warnings = sqlx::query_scalar(
        "select format('warning: %s is a superuser or may bypass rights', rolname) from pg_roles
         where rolname = any($1) and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)
         union all
         select format('warning: %s has the rights of %s', m.rolname, g.rolname)
         from pg_auth_members join pg_roles g on g.oid = roleid join pg_roles m on m.oid = member
         where m.rolname = any($1)
         order by 1",
    );
    Ok(warnings.bind(names()).fetch_all(connection).await?)
}

fn names() -> Vec<&'static str> {
    Role::ALL.iter().map(|role| role.name()).collect()
}
