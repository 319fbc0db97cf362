//! Functions of the schema `cambium` that tell the cluster what to be.

use planner::{SqlError, SqlResult, SqlState};
use storage::Datum;
use tokio::runtime::Handle;
use txn::cluster::NodeOrder;
use txn::{Node, TxnError};

use super::Services;
use super::shared::Shared;

/// Longest time until a dead node is replaced: a year.
const DEAD_MS_MAX: i64 = 365 * 86_400_000;

/// Answers such a function once it is recorded; what has to move is seen in `cambium.moves`.
///
/// # Errors
/// 42501 for anybody but a superuser; 22023 and 55000 where the cluster cannot be so.
pub fn call(shared: &Shared, services: &Services, function: &str, args: &[Datum]) -> SqlResult<Datum> {
    if !shared.is_superuser() {
        let name = function.rsplit('.').next().unwrap_or(function);
        let text = format!("permission denied for function {name}");
        return Err(SqlError::new(SqlState::INSUFFICIENT_PRIVILEGE, text));
    }
    let Some(argument) = args.first().filter(|argument| !matches!(argument, Datum::Null)) else {
        return Ok(Datum::Null);
    };
    let node = services.planner.node.clone();
    // Other tasks move to another thread meanwhile.
    let result = tokio::task::block_in_place(|| Handle::current().block_on(carry_out(&node, function, argument)));
    match result? {
        Ok(()) => Ok(Datum::Bool(true)),
        Err(TxnError::Limit(text)) => Err(SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text)),
        Err(error) => Err(error.into()),
    }
}

async fn carry_out(node: &Node, function: &str, argument: &Datum) -> SqlResult<Result<(), TxnError>> {
    let order = match function {
        "cambium.drain_node" => Some(NodeOrder::Drain),
        "cambium.activate_node" => Some(NodeOrder::Activate),
        "cambium.decommission_node" => Some(NodeOrder::Decommission),
        _ => None,
    };
    if let (Some(order), Datum::Int8(id)) = (order, argument) {
        return Ok(node.order_node(*id as u64, order).await);
    }
    let mut settings = match node.cluster_overview().await {
        Ok(overview) => overview.settings,
        Err(error) => return Ok(Err(error)),
    };
    match (function, argument) {
        ("cambium.set_replicas", Datum::Int4(replicas)) => settings.replicas = positive(*replicas)?,
        ("cambium.set_moves_max", Datum::Int4(moves)) => settings.moves_max = positive(*moves)?,
        ("cambium.set_dead_after", Datum::Interval(interval)) => {
            let days = i64::from(interval.months) * 30 + i64::from(interval.days);
            let ms = days * 86_400_000 + interval.micros / 1000;
            if !(1000..=DEAD_MS_MAX).contains(&ms) {
                let text = "the time must be between a second and a year";
                return Err(SqlError::new(SqlState::INVALID_PARAMETER_VALUE, text));
            }
            settings.dead_ms = ms as u64;
        }
        _ => return Err(SqlError::unsupported(format_args!("function {function}"))),
    }
    Ok(node.set_cluster(settings).await)
}

fn positive(value: i32) -> SqlResult<u32> {
    let bad = || {
        SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "the number must be greater than zero",
        )
    };
    u32::try_from(value).ok().filter(|value| *value > 0).ok_or_else(bad)
}
