//! A connection as the runner wants it: simple protocol, values as PostgreSQL prints them.

use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Where the server is.
pub struct Server {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Role.
    pub user: String,
    /// Database that exists.
    pub database: String,
}

impl Server {
    /// Connects to a database.
    pub async fn connect(&self, database: &str) -> Result<Connection, tokio_postgres::Error> {
        Connection::open(self, database).await
    }
}

/// An open connection.
pub struct Connection {
    client: tokio_postgres::Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Connection {
    /// Connects.
    pub async fn open(server: &Server, database: &str) -> Result<Self, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&server.host)
            .port(server.port)
            .user(&server.user)
            .dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        let driver = tokio::spawn(async move {
            // An error of the connection reaches the statement that waits for its answer.
            let _ = connection.await;
        });
        Ok(Self { client, driver })
    }

    /// Runs a statement without looking at its answer.
    pub async fn execute(&self, sql: &str) -> Result<(), tokio_postgres::Error> {
        self.client.batch_execute(sql).await
    }
}

#[async_trait]
impl AsyncDB for Connection {
    type Error = tokio_postgres::Error;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Self::Error> {
        let mut types = None;
        let mut rows = Vec::new();
        let mut count = 0;
        for message in self.client.simple_query(sql).await? {
            match message {
                SimpleQueryMessage::RowDescription(columns) => {
                    types = Some(vec![DefaultColumnType::Any; columns.len()]);
                }
                SimpleQueryMessage::Row(row) => {
                    rows.push((0..row.len()).map(|i| shown(row.get(i))).collect());
                }
                SimpleQueryMessage::CommandComplete(rows) => count = rows,
                _ => {}
            }
        }
        Ok(match types {
            Some(types) => DBOutput::Rows { types, rows },
            None => DBOutput::StatementComplete(count),
        })
    }

    async fn shutdown(&mut self) {
        self.driver.abort();
    }

    fn engine_name(&self) -> &str {
        "postgresql"
    }

    fn error_sql_state(error: &Self::Error) -> Option<String> {
        error.code().map(|code| code.code().to_string())
    }
}

/// A value as the files have it.
fn shown(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_string(),
        Some("") => "(empty)".to_string(),
        Some(text) => text.to_string(),
    }
}
