//! Rights: those that each user needs ([`Need::rights`]), and no others. Compared with the existing ones, so that a second run
//! changes nothing.

use sqlx::{AssertSqlSafe, Connection};

use super::{
    database::{Database, migration_error},
    roles::ROLES,
};
use crate::{StorageError, schema::Need};

/// Sequences that fill columns of public tables (serial or not), quoted.
macro_rules! serial_sequences {
    () => {
        "select distinct t.relname as relation, format('%I.%I', sn.nspname, s.relname) as sequence
         from pg_class t join pg_namespace n on n.oid = t.relnamespace
         join pg_attrdef d on d.adrelid = t.oid
         join pg_depend p on p.classid = 'pg_attrdef'::regclass and p.objid = d.oid and p.refclassid = 'pg_class'::regclass
         join pg_class s on s.oid = p.refobjid and s.relkind = 'S' join pg_namespace sn on sn.oid = s.relnamespace
         where n.nspname = 'public'"
    };
}
pub(super) use serial_sequences;

/// Where the rights that are needed differ from the existing ones: of our users and of `public`, to the database, the schema
/// `public` and everything in schemas that are not the server's or an extension's. Superfluous rights come first.
const DIFFERENCES: &str = concat!(
    "with serial as (", serial_sequences!(), "),
     rights as (
       select object, grantee, privilege
       from unnest($1::text[], $2::text[], $3::text[]) as r (grantee, object, privileges),
         unnest(string_to_array(privileges, ' ')) privilege),
     needed as (
       select * from rights
       union select format('database %I', current_database()), grantee, 'CONNECT' from rights
       union select 'schema public', grantee, 'USAGE' from rights
       -- An insert takes ids from the table's sequences.
       union select 'sequence ' || sequence, grantee, 'USAGE' from serial join rights on object = 'table public.' || relation
       where privilege = 'INSERT'),
     objects (object, acl, owner, part) as (
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
         and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = f.oid and deptype = 'e')),
     existing (object, grantee, privilege, grantable, revocable) as (
       select distinct object, case when x.grantee = 0 then 'public' else r.rolname::text end, x.privilege_type || part, x.is_grantable,
              pg_has_role(owner, 'USAGE')
       from objects, aclexplode(acl) x left join pg_roles r on r.oid = x.grantee
       where (x.grantee = 0 or r.rolname = any($4)) and x.grantee <> owner)
     select case when existing.object is null then format('grant %s on %s to %s', privilege, object, grantee)
              when needed.object is null then format('revoke %s on %s from %s cascade', privilege, object, grantee)
              else format('revoke grant option for %s on %s from %s cascade', privilege, object, grantee) end as statement,
            format('%s keeps %s on %s', grantee, privilege, object) as state,
            needed.object is not null as needed, existing.object is not null as held, coalesce(revocable, true) as changeable
     from needed full join existing using (object, grantee, privilege)
     where needed.object is null or existing.object is null or grantable
     order by held desc, object, grantee, privilege"
);

/// Statements against rights that our users would get to objects that are created later.
const DEFAULTS: &str =
    "select distinct format('alter default privileges for role %I %s revoke all on %s from %I', pg_get_userbyid(defaclrole),
         case when defaclnamespace <> 0 then format('in schema %I', n.nspname) end,
         case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'routines' when 'T' then 'types'
           else 'schemas' end, r.rolname)
     from pg_default_acl d left join pg_namespace n on n.oid = defaclnamespace, aclexplode(defaclacl) x
     join pg_roles r on r.oid = x.grantee
     where r.rolname = any($1) and r.oid <> defaclrole and defaclobjtype in ('r', 'S', 'f', 'T', 'n')
       and pg_has_role(defaclrole, 'USAGE')";

/// Statements against memberships that give rights to data: in the server's own roles (`pg_read_all_data`, …), in the
/// owner, and in each other.
const MEMBERSHIPS: &str = "select format('revoke %I from %I cascade', g.rolname, m.rolname)
     from pg_auth_members join pg_roles g on g.oid = roleid join pg_roles m on m.oid = member
     where m.rolname = any($1) and (g.rolname like 'pg\\_%' or g.rolname = any($1) or g.rolname = current_user)
       and (select rolsuper from pg_roles where rolname = current_user)";

/// Warnings about privileges that no `revoke` in a database removes.
const WARNINGS: &str =
    "select format('warning: %s is a superuser or may bypass rights', rolname) from pg_roles
     where rolname = any($1) and (rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls)
     union all
     select format('warning: %s has the rights of %s', m.rolname, g.rolname)
     from pg_auth_members join pg_roles g on g.oid = roleid join pg_roles m on m.oid = member
     where m.rolname = any($1)
     order by 1";

/// A right that is needed or held, not both, or that its holder may grant to others.
#[derive(sqlx::FromRow)]
struct Difference {
    /// What ends it.
    statement: String,
    state: String,
    needed: bool,
    held: bool,
    /// Whether the object is ours, so that revoking can work.
    changeable: bool,
}

/// Grants missing rights and revokes superfluous ones, in one transaction: a user that writes meanwhile does not notice. Afterwards a
/// missing right is an error; a right that could not be revoked (the owner may not do that) is reported.
pub(super) async fn apply(database: &mut Database<'_>) -> Result<(), StorageError> {
    let mut statements = texts(database, DEFAULTS).await?;
    statements.extend(texts(database, MEMBERSHIPS).await?);
    let changeable = differences(database)
        .await?
        .into_iter()
        .filter(|right| right.changeable);
    statements.extend(changeable.map(|right| right.statement));
    execute(database, &statements).await?;
    let rest = differences(database).await?;
    if let Some(missing) = rest.iter().find(|right| !right.held) {
        let message = format!("this owner cannot {}", missing.statement);
        return Err(StorageError::migration(message));
    }
    for right in rest.iter().filter(|right| !right.needed) {
        database.report(&format!(
            "warning: {}, which this owner cannot revoke",
            right.state
        ));
    }
    for warning in texts(database, WARNINGS).await? {
        database.report(&warning);
    }
    Ok(())
}

async fn execute(database: &mut Database<'_>, statements: &[String]) -> Result<(), StorageError> {
    let mut transaction = database.connection.begin().await?;
    for statement in statements {
        (database.progress)(statement);
        let done = sqlx::raw_sql(AssertSqlSafe(statement.as_str()))
            .execute(&mut *transaction)
            .await;
        done.map_err(|error| migration_error(statement, error))?;
    }
    Ok(transaction.commit().await?)
}

async fn differences(database: &mut Database<'_>) -> Result<Vec<Difference>, StorageError> {
    let (mut users, mut objects, mut privileges) = (Vec::new(), Vec::new(), Vec::new());
    for need in Need::ALL {
        let (user, store) = need.of();
        if database.stores.contains(&store) {
            for (object, _, needed) in need.rights() {
                users.push(user);
                objects.push(object.replacen(' ', " public.", 1));
                privileges.push(*needed);
            }
        }
    }
    let differences = sqlx::query_as(DIFFERENCES).bind(users).bind(objects);
    let differences = differences.bind(privileges).bind(ROLES);
    Ok(differences.fetch_all(&mut database.connection).await?)
}

async fn texts(database: &mut Database<'_>, sql: &'static str) -> Result<Vec<String>, StorageError> {
    let texts = sqlx::query_scalar(sql).bind(ROLES);
    Ok(texts.fetch_all(&mut database.connection).await?)
}
