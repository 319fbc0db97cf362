//! Collects pairs of measurements and prints them as one Markdown table.

use std::fmt::Write;

/// The rows so far.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

/// One line of the table.
struct Row {
    name: String,
    unit: &'static str,
    pairs: Vec<(f64, f64)>,
    more_is_better: bool,
    least: Option<f64>,
}

impl Report {
    /// Adds the pairs (PostgreSQL, Cambium) of one workload. `least` is the ratio that is asked for, if any.
    pub fn pairs(
        &mut self,
        name: &str,
        unit: &'static str,
        pairs: Vec<(f64, f64)>,
        more_is_better: bool,
        least: Option<f64>,
    ) {
        let row = Row {
            name: name.to_owned(),
            unit,
            pairs,
            more_is_better,
            least,
        };
        eprintln!("{}", row.line());
        self.rows.push(row);
    }

    /// Adds a figure that only Cambium has.
    pub fn single(&mut self, name: &str, unit: &'static str, value: f64) {
        self.pairs(name, unit, vec![(f64::NAN, value)], false, None);
    }

    /// The table, as Markdown.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "| workload | unit | PostgreSQL 15 | Cambium | ratio | at least |\n|---|---|---:|---:|---:|---:|\n",
        );
        for row in &self.rows {
            let _ = writeln!(text, "{}", row.line());
        }
        text
    }
}

impl Row {
    fn line(&self) -> String {
        let postgres = median(self.pairs.iter().map(|pair| pair.0).collect());
        let cambium = median(self.pairs.iter().map(|pair| pair.1).collect());
        let ratio = median(
            self.pairs
                .iter()
                .map(|(postgres, cambium)| {
                    if self.more_is_better {
                        cambium / postgres
                    } else {
                        postgres / cambium
                    }
                })
                .collect(),
        );
        let least = self.least.map_or(String::new(), |least| format!("{least} ×"));
        let (postgres, ratio) = match postgres.is_nan() {
            true => (String::new(), String::new()),
            false => (short(postgres), format!("{ratio:.2} ×")),
        };
        format!(
            "| {} | {} | {postgres} | {} | {ratio} | {least} |",
            self.name,
            self.unit,
            short(cambium)
        )
    }
}

/// The middle value; of an even number, the mean of the two middle ones.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => values[length / 2],
        length => (values[length / 2 - 1] + values[length / 2]) / 2.0,
    }
}

/// Three significant digits are more than a shared machine can promise.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
