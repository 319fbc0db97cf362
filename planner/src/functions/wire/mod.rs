//! The types' binary output functions as functions (`float8send`), which show how a value travels.

mod table;

use storage::Datum;

use super::CallContext;
use crate::types::{self, Type};
use crate::{SqlError, SqlResult, SqlState};

pub(super) use table::FUNCTIONS;

fn send(context: &mut CallContext<'_>, value: &Datum) -> SqlResult<Vec<u8>> {
    let ty: Type = *context.types.args.first().ok_or_else(|| {
        SqlError::new(
            SqlState::INTERNAL_ERROR,
            "binary output called without the type of its argument",
        )
    })?;
    let mut out = Vec::new();
    types::binary_output(ty, value, context.session, &mut out)?;
    Ok(out)
}
