//! CREATE ROLE / USER and ALTER ROLE. Passwords are turned into SCRAM-SHA-256 verifiers here and kept nowhere.

use sqlparser::ast::{AlterRoleOperation, CreateRole, Ident, Password, RoleOption};

use super::Ddl;
use super::names::{fold, parts};
use crate::catalog::Role;
use crate::catalog::registry::Object;
use crate::statement::Tag;
use crate::{SqlError, SqlResult, SqlState, scram};

impl Ddl<'_> {
    pub(super) fn role_id(&self, name: &str) -> SqlResult<u32> {
        Ok(self.role_named(name)?.id)
    }

    fn role_named(&self, name: &str) -> SqlResult<&Role> {
        let missing = || SqlError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"));
        self.catalog().role(name).ok_or_else(missing)
    }

    /// Only a superuser, or a role with CREATEROLE, changes roles.
    fn check_may_change_roles(&self, message: &str) -> SqlResult<()> {
        let user = self.context.session.current_user();
        match self.catalog().role(&user) {
            Some(role) if role.superuser || role.create_role => Ok(()),
            _ => Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, message)),
        }
    }

    pub(super) async fn create_role(&self, create: &CreateRole) -> SqlResult<Tag> {
        self.check_may_change_roles("permission denied to create role")?;
        refuse_options(create)?;
        for name in &create.names {
            let name = parts(name)?.pop().unwrap_or_default();
            if self.catalog().role(&name).is_some() {
                let message = format!("role \"{name}\" already exists");
                if create.if_not_exists {
                    self.notice(SqlState::DUPLICATE_OBJECT, format!("{message}, skipping"));
                    continue;
                }
                return Err(SqlError::new(SqlState::DUPLICATE_OBJECT, message));
            }
            if name.starts_with("pg_") {
                return Err(
                    SqlError::new(SqlState::RESERVED_NAME, format!("role name \"{name}\" is reserved"))
                        .detail("Role names starting with \"pg_\" are reserved."),
                );
            }
            let mut member_of = Vec::new();
            for group in create.in_role.iter().chain(&create.in_group) {
                member_of.push(self.role_id(&fold(group))?);
            }
            let role = Role {
                id: self.allocate_oid().await?,
                name,
                superuser: create.superuser.unwrap_or(false),
                login: create.login.unwrap_or(false),
                create_database: create.create_db.unwrap_or(false),
                create_role: create.create_role.unwrap_or(false),
                password: create.password.as_ref().map(verifier).transpose()?.flatten(),
                member_of,
            };
            self.put(Object::Role(role))?;
        }
        Ok(Tag::Text("CREATE ROLE"))
    }

    pub(super) async fn alter_role(&self, name: &Ident, operation: &AlterRoleOperation) -> SqlResult<Tag> {
        let name = fold(name);
        let mut role = self.role_named(&name)?.clone();
        let is_own_password = matches!(operation, AlterRoleOperation::WithOptions { options }
            if options.iter().all(|option| matches!(option, RoleOption::Password(_))))
            && self.context.session.current_user() == name;
        if !is_own_password {
            self.check_may_change_roles("permission denied")?;
        }
        match operation {
            AlterRoleOperation::RenameRole { role_name } => {
                let new = fold(role_name);
                if self.catalog().role(&new).is_some() {
                    return Err(SqlError::new(
                        SqlState::DUPLICATE_OBJECT,
                        format!("role \"{new}\" already exists"),
                    ));
                }
                role.name = new;
            }
            AlterRoleOperation::WithOptions { options } => {
                for option in options {
                    match option {
                        RoleOption::SuperUser(value) => role.superuser = *value,
                        RoleOption::Login(value) => role.login = *value,
                        RoleOption::CreateDB(value) => role.create_database = *value,
                        RoleOption::CreateRole(value) => role.create_role = *value,
                        RoleOption::Password(password) => role.password = verifier(password)?,
                        // Membership is always inherited here, which is PostgreSQL's default.
                        RoleOption::Inherit(true) => {}
                        other => return Err(SqlError::unsupported(format!("role option {other}"))),
                    }
                }
            }
            other => return Err(SqlError::unsupported(format!("ALTER ROLE {other}"))),
        }
        self.put(Object::Role(role))?;
        Ok(Tag::Text("ALTER ROLE"))
    }
}

/// Options of CREATE ROLE that would change what the role may do and that nothing here enforces.
fn refuse_options(create: &CreateRole) -> SqlResult<()> {
    let asked = [
        (create.inherit == Some(false), "NOINHERIT"),
        (create.bypassrls == Some(true), "BYPASSRLS"),
        (create.replication == Some(true), "REPLICATION"),
        (create.connection_limit.is_some(), "CONNECTION LIMIT"),
        (create.valid_until.is_some(), "VALID UNTIL"),
        (!create.role.is_empty() || !create.user.is_empty(), "ROLE"),
        (!create.admin.is_empty(), "ADMIN"),
    ];
    match asked.into_iter().find(|(is_asked, _)| *is_asked) {
        Some((_, option)) => Err(SqlError::unsupported(format!("role option {option}"))),
        None => Ok(()),
    }
}

/// The verifier to store; PASSWORD NULL removes it. A text that already is a verifier is kept, as PostgreSQL does.
fn verifier(password: &Password) -> SqlResult<Option<String>> {
    match password {
        Password::NullPassword => Ok(None),
        Password::Password(expression) => {
            let text = match expression {
                sqlparser::ast::Expr::Value(value) => value.value.clone().into_string(),
                _ => None,
            };
            let text = text.ok_or_else(|| SqlError::new(SqlState::SYNTAX_ERROR, "a password must be a string"))?;
            if text.is_empty() {
                return Ok(None);
            }
            Ok(Some(if scram::is_verifier(&text) {
                text
            } else {
                scram::verifier(&text)
            }))
        }
    }
}
