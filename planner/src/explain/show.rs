//! Show: the described steps of a plan as the tree that is printed, with costs and what was measured.

use std::sync::Arc;

use super::Observer;
use super::cost::{Cost, Input, cost};
use super::node::{Detail, Kind, Measure, Node, Removed, Strategy, Target};
use super::options::Options;
use crate::bound::{JoinKind, SetKind};
use crate::relational::operators::cte::WithPlan;
use crate::relational::operators::hash_join::HashJoinPlan;
use crate::relational::operators::project::ProjectPlan;
use crate::relational::plan::Plan;
use crate::relational::rewrite::estimate::rows_of_table;

/// A value of a property of FORMAT JSON.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Truth(bool),
    Number(String),
    List(Vec<String>),
}

/// What a step did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actual {
    pub(crate) startup: f64,
    pub(crate) total: f64,
    pub(crate) rows: f64,
    pub(crate) loops: u64,
}

/// A property that is printed below a step.
#[derive(Clone, Debug)]
pub(crate) struct Property {
    pub(crate) label: String,
    pub(crate) value: Value,
    /// Printed in JSON only, or in text only.
    pub(crate) only: Option<super::options::Format>,
}

/// A step as it is printed.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// First line in text.
    pub(crate) label: String,
    /// `Node Type`
    pub(crate) node_type: &'static str,
    /// JSON properties before the costs.
    pub(crate) attributes: Vec<(&'static str, Value)>,
    pub(crate) cost: Cost,
    pub(crate) rows: f64,
    pub(crate) width: usize,
    pub(crate) actual: Option<Actual>,
    pub(crate) output: Vec<String>,
    pub(crate) properties: Vec<Property>,
    /// Inputs, with their `Parent Relationship`.
    pub(crate) inputs: Vec<(&'static str, Shown)>,
    /// InitPlans and CTEs, then SubPlans.
    pub(crate) subplans: Vec<(&'static str, String, Shown)>,
    /// Set operations show as one Append.
    is_append: bool,
}

impl Shown {
    /// What is shown of a plan without any step: one row of nothing.
    pub(crate) fn result() -> Self {
        Self {
            label: "Result".into(),
            node_type: "Result",
            attributes: Vec::new(),
            cost: Cost {
                startup: 0.0,
                total: 0.01,
            },
            rows: 1.0,
            width: 0,
            actual: None,
            output: Vec::new(),
            properties: Vec::new(),
            inputs: Vec::new(),
            subplans: Vec::new(),
            is_append: false,
        }
    }
}

/// What decides how steps are shown.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) options: Options,
    pub(crate) observer: &'a Observer,
}

impl View<'_> {
    /// The steps that a plan shows first: one, or none for what PostgreSQL does not show.
    pub(crate) fn steps(&self, plan: &Arc<dyn Plan>) -> Vec<Shown> {
        match plan.described() {
            Some(node) => vec![self.step(node, plan)],
            // The definitions of WITH are shown at the step that reads them.
            None => match plan.as_any().downcast_ref::<WithPlan>() {
                Some(with) => self.steps(&with.body),
                None => self.below(plan),
            },
        }
    }

    /// The steps of a plan's inputs; a select list above a step says what the step gives.
    fn below(&self, plan: &Arc<dyn Plan>) -> Vec<Shown> {
        let mut steps: Vec<Shown> = plan.inputs().iter().flat_map(|input| self.steps(input)).collect();
        if let ([step], Some(project)) = (steps.as_mut_slice(), plan.as_any().downcast_ref::<ProjectPlan>())
            && let Some(output) = &project.output
        {
            step.output = output.clone();
        }
        steps
    }

    fn step(&self, node: &Arc<Node>, plan: &Arc<dyn Plan>) -> Shown {
        let mut inputs: Vec<Shown> = plan.inputs().iter().flat_map(|input| self.steps(input)).collect();
        let mut kind = node.kind.clone();
        match &node.kind {
            Kind::Conditions if !inputs.is_empty() => {
                let below = inputs.remove(0);
                return self.with_conditions(node, below);
            }
            Kind::Modify { source, .. } => inputs.extend(self.observer.steps_of(*source, plan, *self)),
            Kind::LookupJoin(join) => kind = self.lookup_join(*join, plan, &mut inputs),
            Kind::Window { sorts } => return self.windows(node, sorts, inputs),
            Kind::SetOperation(operation) => return self.set_operation(node, *operation, inputs),
            _ => {}
        }
        if let Kind::HashJoin(_) = kind
            && inputs.len() == 2
        {
            let inner = inputs.remove(1);
            inputs.push(over("Hash", inner));
        }
        if matches!(kind, Kind::Append) {
            // UNION ALL of several is one Append.
            inputs = inputs
                .into_iter()
                .flat_map(|input| match input.is_append {
                    true => input.inputs.into_iter().map(|(_, shown)| shown).collect(),
                    false => vec![input],
                })
                .collect();
        }
        self.shown(node, &kind, inputs)
    }

    fn shown(&self, node: &Node, kind: &Kind, inputs: Vec<Shown>) -> Shown {
        let costs: Vec<Input> = inputs
            .iter()
            .map(|input| Input {
                cost: input.cost,
                rows: input.rows,
            })
            .collect();
        let table_rows = match kind {
            Kind::SeqScan(target) | Kind::IndexScan { target, .. } => rows_of_table(&target.table),
            _ => 0.0,
        };
        let words = words(kind, self.options.verbose, self.observer);
        let mut properties: Vec<Property> = node.details.iter().map(property).collect();
        if matches!(kind, Kind::NestedLoop(_)) {
            // The equalities are looked up by an index: its condition shows them.
            properties.retain(|property| property.label != "Hash Cond");
        }
        let is_measured = self.options.analyze;
        if let Some(removes) = node.removes.filter(|_| is_measured) {
            let removed = match removes {
                Removed::Filter => node.measure.removed(),
                Removed::JoinFilter => node.measure.removed(),
            };
            let per_loop = removed as f64 / node.measure.loops().max(1) as f64;
            push_removed(&mut properties, removes, per_loop);
        }
        if is_measured && matches!(kind, Kind::Plain("Sort")) && node.measure.loops() > 0 {
            sort_properties(&mut properties, &node.measure);
        }
        let relationships: &[&str] = match kind {
            Kind::Append => &["Member"],
            _ => &["Outer", "Inner"],
        };
        let total = cost(node, kind, node.rows, &costs, table_rows);
        let last = relationships.len() - 1;
        let mut shown = Shown {
            label: words.label,
            node_type: words.node_type,
            attributes: words.attributes,
            cost: total,
            rows: node.rows.round().max(1.0),
            width: node.width,
            actual: self.actual(&node.measure),
            output: node.output.clone(),
            properties,
            inputs: inputs
                .into_iter()
                .enumerate()
                .map(|(number, input)| (relationships[number.min(last)], input))
                .collect(),
            subplans: Vec::new(),
            is_append: matches!(kind, Kind::Append),
        };
        if is_measured && node.measure.is_columnar() {
            shown.properties.push(text_property("Engine", "columnar".into()));
        }
        for subplan in node.subplans.lock().iter() {
            if let Some(step) = self.steps(&subplan.plan).into_iter().next() {
                if subplan.relationship == "InitPlan" {
                    shown.cost.startup += step.cost.total;
                    shown.cost.total += step.cost.total;
                }
                shown.subplans.push((subplan.relationship, subplan.title.clone(), step));
            }
        }
        // A step whose inputs ran, but which did not: the columnar engine computed it, uncounted.
        if shown.actual.is_some_and(|actual| actual.loops == 0) && shown.inputs.iter().any(|(_, input)| ran(input)) {
            shown.actual = None;
        }
        shown
    }

    fn actual(&self, measure: &Measure) -> Option<Actual> {
        let loops = measure.loops();
        let (startup, total) = measure.milliseconds();
        self.options.analyze.then(|| Actual {
            startup,
            total,
            rows: (measure.rows() as f64 / loops.max(1) as f64).round(),
            loops,
        })
    }

    /// A condition joins the step below it.
    fn with_conditions(&self, node: &Node, below: Shown) -> Shown {
        let takes_filter = !matches!(
            below.node_type,
            "Limit" | "Sort" | "WindowAgg" | "Append" | "SetOp" | "Unique" | "LockRows" | "ProjectSet" | "ModifyTable"
        ) && !below.properties.iter().any(|property| property.label == "Filter");
        let filtered_in = below.actual.map_or(0.0, |actual| actual.rows * actual.loops as f64);
        let mut shown = match takes_filter {
            true => below,
            false => {
                let mut scan = over("Subquery Scan", below);
                scan.label = "Subquery Scan on unnamed_subquery".into();
                scan.attributes = vec![("Alias", Value::Text("unnamed_subquery".into()))];
                scan
            }
        };
        shown.properties.extend(node.details.iter().map(property));
        if let (Some(removes), Some(actual)) = (node.removes, self.actual(&node.measure))
            && !node
                .details
                .iter()
                .any(|detail| matches!(detail, Detail::Text("One-Time Filter", _)))
        {
            let removed = filtered_in - actual.rows * actual.loops as f64;
            push_removed(
                &mut shown.properties,
                removes,
                removed.max(0.0) / actual.loops.max(1) as f64,
            );
        }
        if let Some(actual) = self.actual(&node.measure).filter(|actual| actual.loops > 0) {
            shown.actual = Some(actual);
        }
        shown.rows = node.rows.round().max(1.0);
        for subplan in node.subplans.lock().iter() {
            for step in self.steps(&subplan.plan) {
                shown.subplans.push((subplan.relationship, subplan.title.clone(), step));
            }
        }
        shown
    }

    /// The rows of a join whose right side an index can find are looked up or hashed: what was done, or would be.
    fn lookup_join(&self, join: JoinKind, plan: &Arc<dyn Plan>, inputs: &mut Vec<Shown>) -> Kind {
        let lookup = plan
            .as_any()
            .downcast_ref::<HashJoinPlan>()
            .and_then(|plan| plan.lookup.as_ref())
            .and_then(|lookup| self.steps(lookup).into_iter().next());
        let Some(lookup) = lookup else {
            return Kind::HashJoin(join);
        };
        let hashed_ran = inputs.get(1).is_some_and(ran);
        let is_small = inputs.first().is_some_and(|outer| outer.rows <= LOOKUP_ROWS);
        let looks_up = match self.options.analyze {
            true => ran(&lookup) || (!hashed_ran && is_small),
            false => is_small,
        };
        if !looks_up {
            return Kind::HashJoin(join);
        }
        inputs.truncate(1);
        inputs.push(lookup);
        Kind::NestedLoop(join)
    }

    /// Windows sort their rows themselves; PostgreSQL shows the sorts as steps.
    fn windows(&self, node: &Node, sorts: &[Vec<String>], inputs: Vec<Shown>) -> Shown {
        let mut below = inputs;
        for (number, keys) in sorts.iter().enumerate() {
            if !keys.is_empty()
                && let Some(input) = below.pop()
            {
                let mut sort = over("Sort", input);
                sort.properties = vec![list_property("Sort Key", keys.clone())];
                below.push(sort);
            }
            if number + 1 < sorts.len()
                && let Some(input) = below.pop()
            {
                below.push(over("WindowAgg", input));
            }
        }
        self.shown(node, &Kind::Plain("WindowAgg"), below)
    }

    /// UNION removes duplicates of an Append; INTERSECT and EXCEPT are SetOps over one.
    fn set_operation(&self, node: &Node, operation: SetKind, inputs: Vec<Shown>) -> Shown {
        let rows = inputs.iter().map(|input| input.rows).sum();
        let actual = self.options.analyze.then(|| Actual {
            startup: inputs
                .first()
                .and_then(|input| input.actual)
                .map_or(0.0, |actual| actual.startup),
            total: inputs
                .iter()
                .filter_map(|input| input.actual)
                .map(|actual| actual.total)
                .sum(),
            rows: inputs
                .iter()
                .filter_map(|input| input.actual)
                .map(|actual| actual.rows)
                .sum(),
            loops: u64::from(inputs.iter().any(ran)),
        });
        let members = inputs
            .into_iter()
            .enumerate()
            .map(|(number, input)| match operation {
                SetKind::Union => input,
                SetKind::Intersect | SetKind::Except => {
                    let mut scan = over("Subquery Scan", input);
                    let alias = format!("*SELECT* {}", number + 1);
                    scan.label = format!("Subquery Scan on \"{alias}\"");
                    scan.attributes = vec![("Alias", Value::Text(alias))];
                    scan
                }
            })
            .collect::<Vec<_>>();
        let total = members.iter().map(|member| member.cost.total).sum();
        let append = Shown {
            label: "Append".into(),
            node_type: "Append",
            attributes: Vec::new(),
            cost: Cost { startup: 0.0, total },
            rows,
            width: node.width,
            actual,
            output: node.output.clone(),
            properties: Vec::new(),
            inputs: members.into_iter().map(|member| ("Member", member)).collect(),
            subplans: Vec::new(),
            is_append: true,
        };
        self.shown(node, &node.kind, vec![append])
    }
}

/// Left rows up to which a join looks up its right rows.
const LOOKUP_ROWS: f64 = 256.0;

fn ran(shown: &Shown) -> bool {
    shown.actual.is_some_and(|actual| actual.loops > 0) || shown.inputs.iter().any(|(_, input)| ran(input))
}

/// A step of which nothing is known but what stands below it.
fn over(node_type: &'static str, input: Shown) -> Shown {
    Shown {
        label: node_type.into(),
        node_type,
        attributes: Vec::new(),
        cost: Cost {
            startup: if node_type == "Subquery Scan" {
                input.cost.startup
            } else {
                input.cost.total
            },
            total: input.cost.total + if node_type == "Hash" { 0.0 } else { input.rows * 0.0025 },
        },
        rows: input.rows,
        width: input.width,
        actual: input.actual,
        output: input.output.clone(),
        properties: Vec::new(),
        inputs: vec![(
            if node_type == "Subquery Scan" {
                "Subquery"
            } else {
                "Outer"
            },
            input,
        )],
        subplans: Vec::new(),
        is_append: false,
    }
}

fn text_property(label: &str, text: String) -> Property {
    Property {
        label: label.into(),
        value: Value::Text(text),
        only: None,
    }
}

fn list_property(label: &str, list: Vec<String>) -> Property {
    Property {
        label: label.into(),
        value: Value::List(list),
        only: None,
    }
}

fn property(detail: &Detail) -> Property {
    match detail {
        Detail::Text(label, text) => text_property(label, text.clone()),
        Detail::List(label, list) => list_property(label, list.clone()),
    }
}

/// PostgreSQL's text form leaves zeros out.
fn push_removed(properties: &mut Vec<Property>, removes: Removed, per_loop: f64) {
    let at = properties
        .iter()
        .position(|property| {
            property.label
                == if removes == Removed::Filter {
                    "Filter"
                } else {
                    "Join Filter"
                }
        })
        .map_or(properties.len(), |at| at + 1);
    let only = (per_loop < 0.5).then_some(super::options::Format::Json);
    properties.insert(
        at,
        Property {
            label: removes.label().into(),
            value: Value::Number(format!("{per_loop:.0}")),
            only,
        },
    );
}

fn sort_properties(properties: &mut Vec<Property>, measure: &Measure) {
    let (method, space, kilobytes) = match measure.disk() {
        0 => ("quicksort", "Memory", measure.memory().div_ceil(1024).max(25)),
        bytes => ("external merge", "Disk", bytes.div_ceil(1024)),
    };
    let json = |label: &str, value| Property {
        label: label.into(),
        value,
        only: Some(super::options::Format::Json),
    };
    properties.push(json("Sort Method", Value::Text(method.into())));
    properties.push(json("Sort Space Used", Value::Number(kilobytes.to_string())));
    properties.push(json("Sort Space Type", Value::Text(space.into())));
    properties.push(Property {
        label: "Sort Method".into(),
        value: Value::Text(format!("{method}  {space}: {kilobytes}kB")),
        only: Some(super::options::Format::Text),
    });
}

struct Words {
    label: String,
    node_type: &'static str,
    attributes: Vec<(&'static str, Value)>,
}

fn plain(node_type: &'static str) -> Words {
    Words {
        label: node_type.into(),
        node_type,
        attributes: Vec::new(),
    }
}

fn words(kind: &Kind, verbose: bool, observer: &Observer) -> Words {
    let text = |text: &str| Value::Text(text.to_string());
    let named = |target: &Target| observer.named(target, verbose);
    let of_target = |target: &Target| {
        let mut attributes = vec![("Relation Name", text(&target.table.name))];
        if verbose {
            attributes.push(("Schema", text(&observer.schema(target))));
        }
        attributes.push(("Alias", text(&target.alias)));
        attributes
    };
    match kind {
        Kind::Plain("WindowAgg") | Kind::Window { .. } => plain("WindowAgg"),
        Kind::Plain(name) => plain(name),
        Kind::Conditions => plain("Result"),
        Kind::Append => plain("Append"),
        Kind::SeqScan(target) => Words {
            label: format!("Seq Scan on {}", named(target)),
            node_type: "Seq Scan",
            attributes: of_target(target),
        },
        Kind::IndexScan {
            target,
            index,
            backward,
        } => {
            let direction = if *backward { " Backward" } else { "" };
            let mut attributes = vec![
                ("Scan Direction", text(if *backward { "Backward" } else { "Forward" })),
                ("Index Name", text(index)),
            ];
            attributes.extend(of_target(target));
            let index = crate::system::deparse::quote_ident(index);
            Words {
                label: format!("Index Scan{direction} using {index} on {}", named(target)),
                node_type: "Index Scan",
                attributes,
            }
        }
        Kind::ValuesScan => Words {
            label: "Values Scan on \"*VALUES*\"".into(),
            node_type: "Values Scan",
            attributes: vec![("Alias", text("*VALUES*"))],
        },
        Kind::FunctionScan(name) => Words {
            label: format!("Function Scan on {name}"),
            node_type: "Function Scan",
            attributes: vec![("Function Name", text(name)), ("Alias", text(name))],
        },
        Kind::CteScan(name) => Words {
            label: format!("CTE Scan on {name}"),
            node_type: "CTE Scan",
            attributes: vec![("CTE Name", text(name)), ("Alias", text(name))],
        },
        Kind::WorkTableScan(name) => Words {
            label: format!("WorkTable Scan on {name}"),
            node_type: "WorkTable Scan",
            attributes: vec![("CTE Name", text(name)), ("Alias", text(name))],
        },
        Kind::HashJoin(join) | Kind::LookupJoin(join) => Words {
            label: format!("Hash {}Join", join_word(*join)),
            node_type: "Hash Join",
            attributes: vec![
                ("Join Type", text(join_type(*join))),
                ("Inner Unique", Value::Truth(false)),
            ],
        },
        Kind::NestedLoop(join) => Words {
            label: match join_word(*join) {
                "" => "Nested Loop".into(),
                word => format!("Nested Loop {word}Join"),
            },
            node_type: "Nested Loop",
            attributes: vec![
                ("Join Type", text(join_type(*join))),
                ("Inner Unique", Value::Truth(false)),
            ],
        },
        Kind::Aggregate(strategy) => {
            let (label, strategy) = match strategy {
                Strategy::Plain => ("Aggregate", "Plain"),
                Strategy::Hashed => ("HashAggregate", "Hashed"),
                Strategy::Mixed => ("MixedAggregate", "Mixed"),
            };
            Words {
                label: label.into(),
                node_type: "Aggregate",
                attributes: vec![("Strategy", text(strategy)), ("Partial Mode", text("Simple"))],
            }
        }
        Kind::SetOperation(SetKind::Union) => Words {
            label: "HashAggregate".into(),
            node_type: "Aggregate",
            attributes: vec![("Strategy", text("Hashed")), ("Partial Mode", text("Simple"))],
        },
        Kind::SetOperation(operation) => {
            let command = match operation {
                SetKind::Intersect => "Intersect",
                SetKind::Union | SetKind::Except => "Except",
            };
            Words {
                label: format!("HashSetOp {command}"),
                node_type: "SetOp",
                attributes: vec![("Strategy", text("Hashed")), ("Command", text(command))],
            }
        }
        Kind::Modify { operation, target, .. } => {
            let mut attributes = vec![("Operation", text(operation))];
            attributes.extend(of_target(target));
            Words {
                label: format!("{operation} on {}", named(target)),
                node_type: "ModifyTable",
                attributes,
            }
        }
    }
}

fn join_word(join: JoinKind) -> &'static str {
    match join {
        JoinKind::Inner | JoinKind::Cross => "",
        JoinKind::Left => "Left ",
        JoinKind::Right => "Right ",
        JoinKind::Full => "Full ",
        JoinKind::Semi => "Semi ",
        JoinKind::Anti => "Anti ",
    }
}

fn join_type(join: JoinKind) -> &'static str {
    match join {
        JoinKind::Inner | JoinKind::Cross => "Inner",
        JoinKind::Left => "Left",
        JoinKind::Right => "Right",
        JoinKind::Full => "Full",
        JoinKind::Semi => "Semi",
        JoinKind::Anti => "Anti",
    }
}
