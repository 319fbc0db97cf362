//! Descriptions for EXPLAIN: while a plan is compiled, each step is noted with what PostgreSQL would call it.
//!
//! Compiled programs have forgotten their names, so the notes are taken here, where relation and plan are both at hand. A
//! builder without a recorder takes none.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{Builder, never_holds};
use crate::bound::{ColumnId, Expr, JoinKind, Rel, Scan, SetKind, SortKey, Subquery, SubqueryKind, WindowCall};
use crate::eval::Layout;
use crate::explain::deparse::Deparser;
use crate::explain::names::Names;
use crate::explain::node::{DescribedPlan, Detail, Kind, Measure, Node, Removed, Strategy, Subplan, Target, address};
use crate::relational::access::Access;
use crate::relational::build::join::equality;
use crate::relational::columnar::adaptive::AdaptivePlan;
use crate::relational::columnar::lower::row_plan;
use crate::relational::operators::append::AppendPlan;
use crate::relational::operators::dependent_join::DependentJoinPlan;
use crate::relational::operators::filter::FilterPlan;
use crate::relational::operators::hash_join::HashJoinPlan;
use crate::relational::operators::nested_loop::NestedLoopPlan;
use crate::relational::operators::project::ProjectPlan;
use crate::relational::operators::scan::ScanPlan;
use crate::relational::operators::sort::SortPlan;
use crate::relational::operators::spool::SpoolPlan;
use crate::relational::operators::values::ValuesPlan;
use crate::relational::plan::Plan;
use crate::relational::rewrite::estimate::estimate;
use crate::relational::rewrite::fold::split_conjuncts;
use crate::types::oid;

/// What EXPLAIN notes while a plan is compiled.
pub(crate) struct Recorder {
    names: Arc<Names>,
    /// Subqueries of the step that is being compiled.
    pending: Vec<Subplan>,
}

impl Recorder {
    /// A recorder for one statement.
    pub(crate) fn new(names: Arc<Names>) -> Self {
        Self {
            names,
            pending: Vec::new(),
        }
    }
}

impl Builder<'_> {
    /// Begins a step: subqueries noted from here on are its own. Gives those of the step around it.
    pub(super) fn begin_notes(&mut self) -> Vec<Subplan> {
        self.recorder
            .as_mut()
            .map(|recorder| std::mem::take(&mut recorder.pending))
            .unwrap_or_default()
    }

    /// Ends a step: what is still pending belongs to whoever is described next.
    pub(super) fn end_notes(&mut self, around: Vec<Subplan>) {
        if let Some(recorder) = &mut self.recorder {
            let own = std::mem::replace(&mut recorder.pending, around);
            recorder.pending.extend(own);
        }
    }

    /// Notes a subquery of the expressions being compiled.
    pub(super) fn note_subquery(&mut self, subquery: &Subquery, plan: &Arc<dyn Plan>, is_free: bool) {
        let Some(recorder) = &mut self.recorder else { return };
        let is_quantified = matches!(subquery.kind, SubqueryKind::Quantified { .. });
        let name = recorder.names.number(subquery, is_free, is_free && !is_quantified);
        let (relationship, title) = match name.initial {
            Some(parameter) => ("InitPlan", name.title(parameter)),
            None => ("SubPlan", format!("SubPlan {}", name.number)),
        };
        if !recorder.pending.iter().any(|known| known.title == title) {
            recorder.pending.push(Subplan {
                relationship,
                title,
                plan: plan.clone(),
            });
        }
    }

    /// Notes the definition of a CTE; it is shown at the step that reads it first from outside.
    pub(super) fn note_cte(&mut self, name: &str, plan: &Arc<dyn Plan>, body: &Arc<dyn Plan>) {
        if self.recorder.is_none() {
            return;
        }
        if let Some(node) = first_described(body) {
            let mut subplans = node.subplans.lock();
            let at = subplans
                .iter()
                .take_while(|plan| plan.title.starts_with("CTE "))
                .count();
            subplans.insert(
                at,
                Subplan {
                    relationship: "InitPlan",
                    title: format!("CTE {name}"),
                    plan: plan.clone(),
                },
            );
        }
    }

    /// Names the values that an index is looked up by after the left side's expressions.
    pub(super) fn note_lookup_value(&mut self, column: ColumnId, value: &Expr) {
        if let Some(recorder) = &self.recorder {
            let text = Deparser::new(&recorder.names, self.session).text(value);
            recorder.names.set_late(column, text);
        }
    }

    /// What the columns of a select list are called, if EXPLAIN asks.
    pub(super) fn output_names(&self, layout: &Layout) -> Option<Vec<String>> {
        let recorder = self.recorder.as_ref()?;
        let deparser = Deparser::new(&recorder.names, self.session);
        Some(layout.columns().iter().map(|column| deparser.output(*column)).collect())
    }

    /// Describes a plan that was just compiled for a relation.
    pub(super) fn describe(&mut self, rel: &Rel, plan: Arc<dyn Plan>) -> Arc<dyn Plan> {
        let Some(recorder) = &mut self.recorder else {
            return plan;
        };
        if plan.described().is_some() {
            return plan;
        }
        let core = core_of(&plan);
        if core.as_any().is::<ProjectPlan>() || matches!(rel, Rel::With { .. }) {
            // A select list is computed by the step below: its subqueries are shown there.
            if let Some(node) = first_described(&plan) {
                node.subplans.lock().append(&mut recorder.pending);
            }
            return plan;
        }
        let names = recorder.names.clone();
        let pending = std::mem::take(&mut recorder.pending);
        let deparser = Deparser::new(&names, self.session);
        let Some((kind, details, removes)) = kind_of(rel, &*core, deparser) else {
            if let Some(recorder) = &mut self.recorder {
                recorder.pending = pending;
            }
            return plan;
        };
        let layout = plan.layout();
        let node = Node {
            kind,
            details,
            removes,
            rows: estimate(rel),
            width: self.width(layout),
            output: layout.columns().iter().map(|column| deparser.column(*column)).collect(),
            subplans: Mutex::new(pending),
            measure: measure_of(match plan.as_any().is::<AdaptivePlan>() {
                true => &*plan,
                false => &*core,
            }),
        };
        DescribedPlan::wrap(plan, node)
    }

    /// Describes WITH RECURSIVE's definition; `start` is its first term.
    pub(super) fn describe_recursion(&mut self, start: &Rel, plan: Arc<dyn Plan>) -> Arc<dyn Plan> {
        let Some(recorder) = &self.recorder else { return plan };
        let deparser = Deparser::new(&recorder.names, self.session);
        let layout = plan.layout();
        let node = Node {
            kind: Kind::Plain("Recursive Union"),
            details: Vec::new(),
            removes: None,
            // PostgreSQL expects ten rounds, too.
            rows: estimate(start) * 10.0,
            width: self.width(layout),
            output: layout.columns().iter().map(|column| deparser.column(*column)).collect(),
            subplans: Mutex::default(),
            measure: Arc::default(),
        };
        DescribedPlan::wrap(plan, node)
    }

    /// Bytes of a row, as PostgreSQL guesses them from types.
    fn width(&self, layout: &Layout) -> usize {
        let of = |column: &ColumnId| match self.types.get(column).map(|ty| ty.oid) {
            Some(oid::BOOL) => 1,
            Some(oid::INT2) => 2,
            Some(oid::INT4 | oid::FLOAT4 | oid::DATE | oid::OID) => 4,
            Some(oid::INT8 | oid::FLOAT8 | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::TIME) => 8,
            Some(oid::UUID | oid::INTERVAL) => 16,
            _ => 32,
        };
        layout.columns().iter().map(of).sum()
    }
}

/// The plan that reads or computes, without what only decides how it is run.
fn core_of(plan: &Arc<dyn Plan>) -> Arc<dyn Plan> {
    let plan = row_plan(plan);
    match plan.as_any().downcast_ref::<SpoolPlan>() {
        Some(spool) => spool.input.clone(),
        None => plan,
    }
}

/// The step that a plan shows first.
fn first_described(plan: &Arc<dyn Plan>) -> Option<Arc<Node>> {
    match plan.described() {
        Some(node) => Some(node.clone()),
        None => plan.inputs().iter().find_map(first_described),
    }
}

type Description = (Kind, Vec<Detail>, Option<Removed>);

fn plain(name: &'static str) -> Description {
    (Kind::Plain(name), Vec::new(), None)
}

/// What a step is called; `None` for one that PostgreSQL does not show.
fn kind_of(rel: &Rel, plan: &dyn Plan, deparser: Deparser<'_>) -> Option<Description> {
    if plan.as_any().is::<AppendPlan>() {
        return Some((Kind::Append, Vec::new(), None));
    }
    Some(match rel {
        Rel::OneRow => plain("Result"),
        Rel::Scan(_) if plan.as_any().is::<ValuesPlan>() => {
            let detail = Detail::Text("One-Time Filter", "false".into());
            (Kind::Plain("Result"), vec![detail], None)
        }
        Rel::Scan(scan) | Rel::SystemScan(scan) => scan_kind(scan, &[], plan, deparser),
        Rel::Values { rows, .. } if rows.len() == 1 => plain("Result"),
        Rel::Values { .. } => (Kind::ValuesScan, Vec::new(), None),
        Rel::FunctionScan { calls, .. } => {
            let names: Vec<&str> = calls.iter().map(|(call, _)| call.function.name).collect();
            (Kind::FunctionScan(names.join(", ")), Vec::new(), None)
        }
        Rel::Filter { input, predicate } => {
            let conjuncts = split_conjuncts(predicate.clone());
            if conjuncts.iter().any(never_holds) || plan.as_any().is::<ValuesPlan>() {
                let detail = Detail::Text("One-Time Filter", "false".into());
                return Some((Kind::Plain("Result"), vec![detail], None));
            }
            match &**input {
                Rel::Scan(scan) | Rel::SystemScan(scan) => scan_kind(scan, &conjuncts, plan, deparser),
                _ if plan.as_any().is::<FilterPlan>() => {
                    let own = match &**input {
                        Rel::FunctionScan { .. } | Rel::CteRef { .. } | Rel::Values { .. } => {
                            Some(input.output_columns())
                        }
                        _ => None,
                    };
                    let deparser = Deparser {
                        own: own.as_deref(),
                        at_aggregate: matches!(**input, Rel::Aggregate { .. }),
                        ..deparser
                    };
                    let detail = match &**input {
                        Rel::OneRow => Detail::Text("One-Time Filter", deparser.conditions(&conjuncts)),
                        _ => Detail::Text("Filter", deparser.conditions(&conjuncts)),
                    };
                    (Kind::Conditions, vec![detail], Some(Removed::Filter))
                }
                _ => return None,
            }
        }
        Rel::ProjectSet { .. } => plain("ProjectSet"),
        Rel::Join { kind, on, .. } => join_kind(*kind, on.as_ref(), plan, deparser),
        Rel::Aggregate { groups, sets, .. } => {
            let key = |position: &usize| deparser.text(&groups[*position].1);
            if groups.is_empty() {
                (Kind::Aggregate(Strategy::Plain), Vec::new(), None)
            } else if let [set] = sets.as_slice() {
                let keys = set.iter().map(key).collect();
                (
                    Kind::Aggregate(Strategy::Hashed),
                    vec![Detail::List("Group Key", keys)],
                    None,
                )
            } else {
                let details: Vec<Detail> = sets
                    .iter()
                    .map(|set| match set.is_empty() {
                        true => Detail::List("Group Key", vec!["()".into()]),
                        false => Detail::List("Hash Key", set.iter().map(key).collect()),
                    })
                    .collect();
                let is_mixed = sets.iter().any(Vec::is_empty);
                let strategy = if is_mixed { Strategy::Mixed } else { Strategy::Hashed };
                (Kind::Aggregate(strategy), details, None)
            }
        }
        Rel::Window { calls, .. } => {
            let mut sorts: Vec<Vec<String>> = Vec::new();
            let mut calls: Vec<&WindowCall> = calls.iter().map(|(_, call)| call).collect();
            calls.sort_by_key(|call| std::cmp::Reverse(call.partition.len() + call.order.len()));
            for call in calls {
                let keys = window_keys(call, deparser);
                if !sorts.contains(&keys) {
                    sorts.push(keys);
                }
            }
            (Kind::Window { sorts }, Vec::new(), None)
        }
        Rel::Sort { keys, .. } => match plan.as_any().is::<SortPlan>() {
            true => (
                Kind::Plain("Sort"),
                vec![Detail::List("Sort Key", deparser.sort_keys(keys))],
                None,
            ),
            false => return None,
        },
        Rel::Limit { .. } => plain("Limit"),
        Rel::Distinct { on: Some(_), .. } => plain("Unique"),
        Rel::Distinct { input, on: None } => {
            let keys = input
                .output_columns()
                .iter()
                .map(|column| deparser.column(*column))
                .collect();
            (
                Kind::Aggregate(Strategy::Hashed),
                vec![Detail::List("Group Key", keys)],
                None,
            )
        }
        Rel::SetOperation {
            kind: SetKind::Union,
            all: true,
            ..
        } => (Kind::Append, Vec::new(), None),
        Rel::SetOperation { kind, columns, .. } => {
            let details = match kind {
                SetKind::Union => {
                    let keys = columns.iter().map(|column| deparser.column(column.id)).collect();
                    vec![Detail::List("Group Key", keys)]
                }
                SetKind::Intersect | SetKind::Except => Vec::new(),
            };
            (Kind::SetOperation(*kind), details, None)
        }
        Rel::CteRef { cte, columns } => {
            let name = deparser.names.cte(*cte).to_string();
            match deparser.names.is_working(columns) {
                true => (Kind::WorkTableScan(name), Vec::new(), None),
                false => (Kind::CteScan(name), Vec::new(), None),
            }
        }
        Rel::LockRows { .. } => plain("LockRows"),
        Rel::Modify(_) => return modify_kind(plan),
        Rel::Project { .. } | Rel::With { .. } => return None,
    })
}

fn window_keys(call: &WindowCall, deparser: Deparser<'_>) -> Vec<String> {
    let partition = call.partition.iter().map(|key| SortKey {
        expr: key.clone(),
        descending: false,
        nulls_first: false,
    });
    let keys: Vec<SortKey> = partition.chain(call.order.iter().cloned()).collect();
    deparser.sort_keys(&keys)
}

fn scan_kind(scan: &Scan, conjuncts: &[Expr], plan: &dyn Plan, deparser: Deparser<'_>) -> Description {
    let target = Target {
        table: scan.table.clone(),
        alias: scan.alias.clone(),
    };
    let mut details = Vec::new();
    let own: Vec<ColumnId> = scan.columns.iter().map(|(column, _)| column.id).collect();
    let deparser = Deparser {
        own: Some(&own),
        ..deparser
    };
    let (mut of_index, mut filter) = (Vec::new(), Vec::new());
    let scanned = plan.as_any().downcast_ref::<ScanPlan>();
    let access = scanned.and_then(|plan| match &plan.access {
        Access::Index(access) => Some(access),
        Access::Full => None,
    });
    for (number, conjunct) in conjuncts.iter().enumerate() {
        match access.is_some_and(|access| access.conditions.contains(&number)) {
            true => of_index.push(conjunct.clone()),
            false => filter.push(conjunct.clone()),
        }
    }
    if !of_index.is_empty() {
        details.push(Detail::Text("Index Cond", deparser.conditions(&of_index)));
    }
    if !filter.is_empty() {
        details.push(Detail::Text("Filter", deparser.conditions(&filter)));
    }
    let removes = (!filter.is_empty()).then_some(Removed::Filter);
    let kind = match access {
        Some(access) => Kind::IndexScan {
            target,
            index: scan
                .table
                .indexes
                .iter()
                .find(|index| index.id == access.index)
                .map_or_else(String::new, |index| index.name.clone()),
            backward: access.reverse,
        },
        None => Kind::SeqScan(target),
    };
    (kind, details, removes)
}

fn join_kind(kind: JoinKind, on: Option<&Expr>, plan: &dyn Plan, deparser: Deparser<'_>) -> Description {
    let conjuncts: Vec<Expr> = on.cloned().into_iter().flat_map(split_conjuncts).collect();
    let filter = |conditions: &[Expr]| Detail::Text("Join Filter", deparser.conditions(conditions));
    if let Some(plan) = plan.as_any().downcast_ref::<HashJoinPlan>() {
        let is_pair = |conjunct: &Expr| equality(conjunct, plan.left.layout(), plan.right.layout()).is_some();
        let (pairs, rest): (Vec<Expr>, Vec<Expr>) = conjuncts.into_iter().partition(is_pair);
        let mut details = vec![Detail::Text("Hash Cond", deparser.conditions(&pairs))];
        let removes = (!rest.is_empty()).then_some(Removed::JoinFilter);
        if !rest.is_empty() {
            details.push(filter(&rest));
        }
        let kind = match plan.lookup.is_some() {
            true => Kind::LookupJoin(kind),
            false => Kind::HashJoin(kind),
        };
        return (kind, details, removes);
    }
    debug_assert!(
        plan.as_any().is::<NestedLoopPlan>() || plan.as_any().is::<DependentJoinPlan>(),
        "a join is one of these"
    );
    let removes = (!conjuncts.is_empty()).then_some(Removed::JoinFilter);
    let details = match conjuncts.is_empty() {
        true => Vec::new(),
        false => vec![filter(&conjuncts)],
    };
    (Kind::NestedLoop(kind), details, removes)
}

/// The description of a data-modifying statement.
fn modify_kind(plan: &dyn Plan) -> Option<Description> {
    let plan = plan
        .as_any()
        .downcast_ref::<crate::relational::operators::modify::ModifyPlan>()?;
    Some(modify_description(&plan.modify))
}

/// The description of a data-modifying statement; the address of its source is that in this very value.
pub(crate) fn modify_description(modify: &crate::bound::Modify) -> Description {
    use crate::bound::ModifyKind;
    let target = Target {
        table: modify.table.clone(),
        alias: modify.alias.clone(),
    };
    let mut details = Vec::new();
    let (operation, source) = match &modify.kind {
        ModifyKind::Insert {
            source, on_conflict, ..
        } => {
            if let Some(conflict) = on_conflict {
                let resolution = if conflict.update.is_some() { "UPDATE" } else { "NOTHING" };
                details.push(Detail::Text("Conflict Resolution", resolution.into()));
                let arbiters: Vec<String> = modify
                    .table
                    .indexes
                    .iter()
                    .filter(|index| conflict.arbiters.contains(&index.id))
                    .map(|index| index.name.clone())
                    .collect();
                if !arbiters.is_empty() {
                    details.push(Detail::List("Conflict Arbiter Indexes", arbiters));
                }
            }
            ("Insert", &source.rel)
        }
        ModifyKind::Update { source, .. } => ("Update", source),
        ModifyKind::Delete { source, .. } => ("Delete", source),
        ModifyKind::Merge { source, .. } => ("Merge", source),
    };
    let kind = Kind::Modify {
        operation,
        target,
        source: address(source),
    };
    (kind, details, None)
}

/// Where an operator counts what only it knows; for others, counters of their own.
fn measure_of(plan: &dyn Plan) -> Arc<Measure> {
    let any = plan.as_any();
    if let Some(adaptive) = any.downcast_ref::<AdaptivePlan>() {
        return adaptive.measure.clone().unwrap_or_default();
    }
    if let Some(scan) = any.downcast_ref::<ScanPlan>() {
        return scan.measure.clone().unwrap_or_default();
    }
    if let Some(sort) = any.downcast_ref::<SortPlan>() {
        return sort.measure.clone().unwrap_or_default();
    }
    Arc::default()
}
