//! JsonError: the facts PostgreSQL prints about JSON it cannot take.

/// What kind of failure, for the SQLSTATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonErrorKind {
    /// Not JSON.
    Syntax,
    /// `\u0000`, which text cannot hold.
    Unicode,
    /// Nested deeper than [`super::DEPTH_MAX`].
    Depth,
    /// A number beyond numeric's limits.
    Number,
    /// Larger than [`super::BYTES_MAX`].
    Size,
}

impl JsonErrorKind {
    /// SQLSTATE of the kind.
    pub fn sqlstate(self) -> &'static str {
        match self {
            Self::Syntax => "22P02",
            Self::Unicode => "22P05",
            Self::Depth => "54001",
            Self::Number => "22003",
            Self::Size => "54000",
        }
    }
}

/// Why text is not JSON, or JSON that cannot be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonError {
    /// Kind.
    pub kind: JsonErrorKind,
    /// Primary message.
    pub message: String,
    /// Detail line.
    pub detail: Option<String>,
    /// Hint line.
    pub hint: Option<String>,
    /// Context line (`JSON data, line 1: …`).
    pub context: Option<String>,
}

impl JsonError {
    /// Nested too deeply.
    pub fn depth() -> Self {
        Self {
            kind: JsonErrorKind::Depth,
            message: "stack depth limit exceeded".to_owned(),
            detail: Some(format!("JSON values may be nested {} levels deep.", super::DEPTH_MAX)),
            hint: None,
            context: None,
        }
    }

    /// Too large to store.
    pub fn size() -> Self {
        Self {
            kind: JsonErrorKind::Size,
            message: format!(
                "total size of jsonb value exceeds the maximum of {} bytes",
                super::BYTES_MAX
            ),
            detail: None,
            hint: None,
            context: None,
        }
    }

    /// A number out of numeric's limits.
    pub fn number(error: &crate::numeric::NumericError) -> Self {
        Self {
            kind: JsonErrorKind::Number,
            message: error.to_string(),
            detail: None,
            hint: None,
            context: None,
        }
    }
}
