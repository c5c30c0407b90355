//! What was measured: one object a line, or a table with the aims.

/// Figures of one run.
#[derive(Debug)]
pub(crate) struct Report {
    json: bool,
    bench: &'static str,
    rows: Vec<[String; 4]>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, bench: "", rows: Vec::new() }
    }

    /// What follows belongs to this bench.
    pub(crate) fn begin(&mut self, bench: &'static str) {
        self.bench = bench;
    }

    pub(crate) fn figure(&mut self, metric: impl AsRef<str>, value: f64, unit: &'static str) {
        self.row(metric.as_ref(), value, unit, None);
    }

    /// A figure that should be below something.
    pub(crate) fn aimed(&mut self, metric: impl AsRef<str>, value: f64, unit: &'static str, below: f64) {
        self.row(metric.as_ref(), value, unit, Some(below));
    }

    /// A count. For people it is in a table of its own ([`Report::say`]).
    pub(crate) fn count(&mut self, metric: impl AsRef<str>, value: usize) {
        if self.json {
            let metric = metric.as_ref();
            println!(
                "{}",
                serde_json::json!({ "bench": self.bench, "metric": metric, "value": value, "unit": "" })
            );
        }
    }

    /// What a person should read beside the figures.
    pub(crate) fn say(&self, text: impl FnOnce() -> String) {
        if !self.json {
            println!("{}", text());
        }
    }

    fn row(&mut self, metric: &str, value: f64, unit: &'static str, below: Option<f64>) {
        // Three digits say all that a measurement on a shared machine knows.
        let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 4) };
        let text = format!("{value:.*}", digits as usize);
        if self.json {
            let value: f64 = text.parse().unwrap_or(value);
            println!(
                "{}",
                serde_json::json!({ "bench": self.bench, "metric": metric, "value": value, "unit": unit })
            );
            return;
        }
        let aim = match below {
            Some(aim) if value < aim => format!("aim < {aim}: met"),
            Some(aim) => format!("aim < {aim}: missed"),
            None => String::new(),
        };
        self.rows.push([format!("{} {metric}", self.bench), text, unit.to_owned(), aim]);
    }

    /// Prints the table.
    pub(crate) fn finish(&self) {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let (first, second, third) = (width(0), width(1), width(2));
        for [name, value, unit, aim] in &self.rows {
            let line = format!("{name:first$}  {value:>second$} {unit:third$}  {aim}");
            println!("{}", line.trim_end());
        }
    }
}

/// The middle one.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    percentile(values, 0.5)
}

/// The value that this share of all values does not exceed.
pub(crate) fn percentile(values: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let at = ((values.len() as f64 * share).ceil() as usize).saturating_sub(1);
    values.get(at).copied().unwrap_or(f64::NAN)
}
