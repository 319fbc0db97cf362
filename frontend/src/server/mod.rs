//! Server: the listeners, what connections share, and how it all ends.

pub mod admin;
pub mod http;
pub mod options;
pub mod run;
pub mod tls;

use std::sync::Arc;

use crate::session::Services;

pub use options::{Options, Start};
pub use run::{check, run};

/// How clients without a password are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Trusted if they come over loopback.
    Trust,
    /// Refused.
    Scram,
}

/// What connections share.
pub struct Server {
    /// What sessions share.
    pub services: Arc<Services>,
    /// Policy.
    pub authentication: Authentication,
    /// TLS, if there is a certificate.
    pub tls: Option<tls::Tls>,
}
