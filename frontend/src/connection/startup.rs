//! Startup: from the first byte to a session that is ready — TLS, cancel requests, parameters, authentication.

use std::net::SocketAddr;
use std::sync::Arc;

use planner::catalog::{Catalog, Role};
use planner::{SqlError, SqlResult, SqlState};
use tokio::io::{AsyncRead, AsyncWrite};

use super::client::{Outbox, Reader};
use super::{Stopped, Work, authenticate};
use crate::server::Server;
use crate::session::registry::Registry;
use crate::session::settings::{SETTINGS, Settings};
use crate::session::shared::{Identity, Shared, now};
use crate::wire::startup::{self, Startup};

/// Both halves of a client's socket.
pub struct Client {
    /// What it says.
    pub reader: Reader,
    /// What it is told.
    pub outbox: Outbox,
    /// Its address.
    pub address: SocketAddr,
    /// Our address as it sees it.
    pub local: SocketAddr,
    /// The certificate its TLS session was opened with, as PEM, for channel binding.
    pub certificate: Option<Arc<[u8]>>,
}

/// A place in the registry, given back when the connection ends however it ends.
pub struct Place {
    registry: Arc<Registry>,
    /// Number of the session.
    pub id: u32,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.leave(self.id);
    }
}

/// Reads startup packets until one opens a session; `None` if it only cancels another's statement.
///
/// # Errors
/// [`Stopped::Lost`], or a fatal error to tell.
pub async fn negotiate<S>(
    stream: S,
    addresses: (SocketAddr, SocketAddr),
    server: &Server,
) -> Result<Option<Applicant>, (Option<Client>, Stopped)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut client = plain(stream, addresses);
    loop {
        match step(&mut client, server).await {
            Ok(Step::Again) => {}
            Ok(Step::Encrypt) => client = encrypt(client, server).await.map_err(|stopped| (None, stopped))?,
            Ok(Step::Open(parameters)) => return Ok(Some((client, parameters))),
            Ok(Step::Cancelled) => return Ok(None),
            Err(stopped) => return Err((Some(client), stopped)),
        }
    }
}

/// A client that wants a session, and what it asks for.
pub type Applicant = (Client, Vec<(String, String)>);

enum Step {
    Again,
    Encrypt,
    Open(Vec<(String, String)>),
    Cancelled,
}

fn plain<S>(stream: S, (address, local): (SocketAddr, SocketAddr)) -> Client
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (read, write) = tokio::io::split(stream);
    Client {
        reader: Reader::new(Box::new(read)),
        outbox: Outbox::new(Box::new(write)),
        address,
        local,
        certificate: None,
    }
}

async fn step(client: &mut Client, server: &Server) -> Work<Step> {
    match client.reader.startup().await? {
        Startup::Ssl => {
            let is_offered = server.tls.is_some() && client.certificate.is_none();
            // Bytes sent before the answer would slip in front of the encrypted ones.
            if client.reader.has_input() {
                return Err(fatal(
                    SqlState::PROTOCOL_VIOLATION,
                    "received unencrypted data after SSL request",
                ));
            }
            client.outbox.output.byte(if is_offered { b'S' } else { b'N' });
            client.outbox.flush().await?;
            Ok(if is_offered { Step::Encrypt } else { Step::Again })
        }
        Startup::Gss => {
            client.outbox.output.byte(b'N');
            client.outbox.flush().await?;
            Ok(Step::Again)
        }
        Startup::Cancel { session, secret } => {
            if server.services.registry.cancel(session, &secret) {
                server.services.planner.node.cancel(session);
            }
            Ok(Step::Cancelled)
        }
        Startup::Unsupported { major, minor } => Err(fatal(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.0"),
        )),
        Startup::Session { minor, parameters } => {
            let unknown: Vec<&str> = parameters
                .iter()
                .map(|(name, _)| name.as_str())
                .filter(|name| name.starts_with("_pq_."))
                .collect();
            if minor > 0 || !unknown.is_empty() {
                client.outbox.output.negotiate_version(&unknown);
            }
            Ok(Step::Open(parameters))
        }
    }
}

async fn encrypt(client: Client, server: &Server) -> Work<Client> {
    let Some(tls) = &server.tls else {
        return Err(Stopped::Lost);
    };
    let stream = tokio::io::join(client.reader.into_half(), client.outbox.into_half());
    let stream = tls.acceptor.accept(stream).await?;
    let mut encrypted = plain(stream, (client.address, client.local));
    encrypted.certificate = Some(tls.certificate.clone());
    Ok(encrypted)
}

/// Authenticates a client and makes its session known; the answer up to ReadyForQuery is in the outbox.
///
/// # Errors
/// Fatal errors to tell the client.
pub async fn open(
    client: &mut Client,
    parameters: Vec<(String, String)>,
    server: &Server,
) -> Work<(Arc<Shared>, Place)> {
    let wanted = Wanted::new(parameters).map_err(Stopped::Fatal)?;
    let registry = server.services.registry.clone();
    let place = registry
        .reserve()
        .map(|id| Place {
            registry: registry.clone(),
            id,
        })
        .map_err(Stopped::Fatal)?;
    let catalog = server.services.planner.catalog().await.map_err(Stopped::Fatal)?;
    authenticate::authenticate(client, catalog.role(&wanted.user), &wanted.user, server).await?;
    let role = check_role(&catalog, &wanted).map_err(Stopped::Fatal)?;
    let settings = wanted.settings(role, server).map_err(Stopped::Fatal)?;
    let identity = Identity {
        id: place.id,
        secret: rand::random(),
        user: role.name.clone(),
        database: wanted.database,
        client: Some(client.address),
        server: Some(client.local),
        started: now(),
    };
    let shared = Arc::new(Shared::new(
        identity,
        settings,
        role.superuser,
        catalog.clone(),
        Arc::downgrade(&server.services),
    ));
    registry.enter(shared.clone());
    for setting in SETTINGS.iter().filter(|setting| setting.is_reported) {
        client
            .outbox
            .output
            .parameter_status(setting.name, &shared.show(setting.name).unwrap_or_default());
    }
    client.outbox.output.backend_key(place.id, &shared.identity.secret);
    Ok((shared, place))
}

/// What a startup packet asks for.
struct Wanted {
    user: String,
    database: String,
    settings: Vec<(String, String)>,
}

impl Wanted {
    fn new(parameters: Vec<(String, String)>) -> SqlResult<Wanted> {
        let (mut user, mut database, mut settings) = (None, None, Vec::new());
        for (name, value) in parameters {
            match name.as_str() {
                "user" => user = Some(value),
                "database" => database = Some(value).filter(|name| !name.is_empty()),
                "options" => settings.extend(startup::options(&value)?),
                "replication" if matches!(value.as_str(), "false" | "off" | "no" | "0") => {}
                "replication" => return Err(SqlError::unsupported("replication")),
                name if name.starts_with("_pq_.") => {}
                _ => settings.push((name, value)),
            }
        }
        let user = user.filter(|name| !name.is_empty()).ok_or_else(|| {
            SqlError::new(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                "no PostgreSQL user name specified in startup packet",
            )
        })?;
        Ok(Wanted {
            database: database.unwrap_or_else(|| user.clone()),
            user,
            settings,
        })
    }

    fn settings(&self, role: &Role, server: &Server) -> SqlResult<Settings> {
        let mut settings = Settings::default();
        settings.set_base("max_connections", &server.services.registry.count_max().to_string());
        for (name, value) in &self.settings {
            settings.set_startup(name, value, role.superuser)?;
        }
        Ok(settings)
    }
}

fn check_role<'a>(catalog: &'a Catalog, wanted: &Wanted) -> SqlResult<&'a Role> {
    let invalid = |message: String| SqlError::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message);
    let user = &wanted.user;
    let role = catalog
        .role(user)
        .ok_or_else(|| invalid(format!("role \"{user}\" does not exist")))?;
    if !role.login {
        return Err(invalid(format!("role \"{user}\" is not permitted to log in")));
    }
    let database = &wanted.database;
    if catalog.database(database).is_none() {
        return Err(SqlError::new(
            SqlState::INVALID_CATALOG_NAME,
            format!("database \"{database}\" does not exist"),
        ));
    }
    Ok(role)
}

/// A fatal error.
pub fn fatal(code: SqlState, message: impl Into<String>) -> Stopped {
    Stopped::Fatal(SqlError::new(code, message))
}
