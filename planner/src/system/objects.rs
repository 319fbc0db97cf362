//! Databases and roles: pg_database, pg_authid, pg_roles, pg_user, pg_auth_members, pg_tablespace.

use storage::Datum;

use super::SystemContext;
use super::builder::{Builder, id, maybe, text};
use crate::catalog::{BOOTSTRAP_ROLE, Role};

/// OID of the tablespace `pg_default`.
const PG_DEFAULT: u32 = 1663;
/// OID of the tablespace `pg_global`.
const PG_GLOBAL: u32 = 1664;
/// PostgreSQL's number of the encoding UTF8.
const UTF8: i32 = 6;

/// Fills one of these relations; `false` if it is not one of them.
pub(super) fn fill(name: &str, rows: &mut Builder, context: &SystemContext<'_>) -> bool {
    match name {
        "pg_database" => databases(rows, context),
        "pg_authid" => authorizations(rows, context),
        "pg_roles" => roles(rows, context),
        "pg_user" | "pg_shadow" => users(rows, context),
        "pg_auth_members" => members(rows, context),
        "pg_tablespace" => {
            for (number, name) in [(PG_DEFAULT, "pg_default"), (PG_GLOBAL, "pg_global")] {
                rows.row([
                    ("oid", id(number)),
                    ("spcname", text(name)),
                    ("spcowner", id(BOOTSTRAP_ROLE)),
                ]);
            }
        }
        _ => return false,
    }
    true
}

fn databases(rows: &mut Builder, context: &SystemContext<'_>) {
    for database in context.catalog.databases.values() {
        rows.row([
            ("oid", id(database.id)),
            ("datname", text(&database.name)),
            ("datdba", id(database.owner)),
            ("encoding", Datum::Int4(UTF8)),
            ("datlocprovider", text("c")),
            ("datallowconn", Datum::Bool(true)),
            ("datconnlimit", Datum::Int4(-1)),
            ("dattablespace", id(PG_DEFAULT)),
            ("datcollate", text("C")),
            ("datctype", text("C.UTF-8")),
        ]);
    }
}

fn is_superuser(context: &SystemContext<'_>) -> bool {
    context
        .catalog
        .role(&context.session.current_user())
        .is_some_and(|role| role.superuser)
}

/// Verifiers are shown to superusers only.
fn password(role: &Role, context: &SystemContext<'_>) -> Datum {
    maybe(role.password.as_ref().filter(|_| is_superuser(context)))
}

fn authorizations(rows: &mut Builder, context: &SystemContext<'_>) {
    for role in context.catalog.roles.values() {
        rows.row([
            ("oid", id(role.id)),
            ("rolname", text(&role.name)),
            ("rolsuper", Datum::Bool(role.superuser)),
            ("rolinherit", Datum::Bool(true)),
            ("rolcreaterole", Datum::Bool(role.create_role)),
            ("rolcreatedb", Datum::Bool(role.create_database)),
            ("rolcanlogin", Datum::Bool(role.login)),
            ("rolbypassrls", Datum::Bool(role.superuser)),
            ("rolconnlimit", Datum::Int4(-1)),
            ("rolpassword", password(role, context)),
        ]);
    }
}

fn roles(rows: &mut Builder, context: &SystemContext<'_>) {
    for role in context.catalog.roles.values() {
        rows.row([
            ("rolname", text(&role.name)),
            ("rolsuper", Datum::Bool(role.superuser)),
            ("rolinherit", Datum::Bool(true)),
            ("rolcreaterole", Datum::Bool(role.create_role)),
            ("rolcreatedb", Datum::Bool(role.create_database)),
            ("rolcanlogin", Datum::Bool(role.login)),
            ("rolbypassrls", Datum::Bool(role.superuser)),
            ("rolconnlimit", Datum::Int4(-1)),
            ("rolpassword", text("********")),
            ("oid", id(role.id)),
        ]);
    }
}

fn users(rows: &mut Builder, context: &SystemContext<'_>) {
    for role in context.catalog.roles.values().filter(|role| role.login) {
        rows.row([
            ("usename", text(&role.name)),
            ("usesysid", id(role.id)),
            ("usecreatedb", Datum::Bool(role.create_database)),
            ("usesuper", Datum::Bool(role.superuser)),
            ("passwd", text("********")),
        ]);
    }
}

fn members(rows: &mut Builder, context: &SystemContext<'_>) {
    for role in context.catalog.roles.values() {
        for group in &role.member_of {
            rows.row([
                ("roleid", id(*group)),
                ("member", id(role.id)),
                ("grantor", id(BOOTSTRAP_ROLE)),
            ]);
        }
    }
}
