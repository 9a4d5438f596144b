//! How things are measured: every round runs each variant once, in turning order, so that whatever else the machine does
//! meets them all alike; what counts is the ratio of two variants in the same round, and the median over the rounds.

use anyhow::{Context, Result};
use serde::Serialize;

/// A thing to measure: its name, and a closure that does it once and says what it cost (less is better).
pub struct Variant<'a> {
    name: String,
    run: Box<dyn FnMut() -> Result<f64> + 'a>,
}

impl<'a> Variant<'a> {
    pub fn new(name: impl Into<String>, run: impl FnMut() -> Result<f64> + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// What each variant cost in each round.
pub struct Samples {
    columns: Vec<(String, Vec<f64>)>,
}

/// Runs `variants` for `rounds` rounds, after one that doesn't count.
///
/// # Errors
/// The first error of a variant: a comparison with a hole in it would compare different things.
pub fn alternate(rounds: usize, mut variants: Vec<Variant<'_>>) -> Result<Samples> {
    let mut columns: Vec<_> =
        variants.iter().map(|variant| (variant.name.clone(), Vec::with_capacity(rounds))).collect();
    let count = variants.len();
    for round in 0..=rounds {
        eprint!("\r  round {round} of {rounds}");
        for turn in 0..count {
            let index = (round + turn) % count;
            let (Some(variant), Some((name, column))) = (variants.get_mut(index), columns.get_mut(index))
            else {
                continue;
            };
            let cost = (variant.run)().with_context(|| format!("\n{name}, round {round}"))?;
            if round > 0 {
                column.push(cost);
            }
        }
    }
    eprintln!();
    Ok(Samples { columns })
}

impl Samples {
    /// # Errors
    /// When there is no variant of that name.
    fn column(&self, name: &str) -> Result<&[f64]> {
        let column = self.columns.iter().find(|(known, _)| known == name);
        column
            .map(|(_, samples)| samples.as_slice())
            .with_context(|| format!("nothing was measured as `{name}`"))
    }

    /// The row of a table that says what `ours` costs measured in what `peer` costs.
    ///
    /// # Errors
    /// When either was not measured.
    pub fn compare(&self, what: &str, unit: &'static str, ours: &str, peer: &str) -> Result<Row> {
        let (our_samples, peer_samples) = (self.column(ours)?, self.column(peer)?);
        let ratios: Vec<f64> = our_samples.iter().zip(peer_samples).map(|(ours, peer)| ours / peer).collect();
        Ok(Row {
            what: what.to_string(),
            unit,
            ours: ours.to_string(),
            peer: peer.to_string(),
            ours_median: quantile(our_samples, 0.5),
            peer_median: quantile(peer_samples, 0.5),
            ratio: quantile(&ratios, 0.5),
            ratio_quartiles: [quantile(&ratios, 0.25), quantile(&ratios, 0.75)],
            ours_samples: our_samples.to_vec(),
            peer_samples: peer_samples.to_vec(),
        })
    }
}

/// One comparison.
#[derive(Serialize)]
pub struct Row {
    pub what: String,
    pub unit: &'static str,
    pub ours: String,
    pub peer: String,
    pub ours_median: f64,
    pub peer_median: f64,
    /// The median over the rounds of ours divided by the peer's in the same round.
    pub ratio: f64,
    pub ratio_quartiles: [f64; 2],
    pub ours_samples: Vec<f64>,
    pub peer_samples: Vec<f64>,
}

/// The `at` quantile (0 to 1) with linear interpolation; not a number if there are no samples.
pub fn quantile(samples: &[f64], at: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    // The counts are small: no precision is lost.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let (below, part) = {
        let position = at * last as f64;
        (position.floor() as usize, position.fract())
    };
    let (low, high) = (sorted[below.min(last)], sorted[(below + 1).min(last)]);
    low + (high - low) * part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn quantiles_lie_between_the_samples_around_them() {
        assert!(close(quantile(&[3.0, 1.0, 2.0], 0.5), 2.0));
        assert!(close(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), 2.5));
        assert!(close(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.25), 2.0));
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn ratios_are_taken_within_a_round_so_a_drifting_machine_cancels_out() {
        // Each round the machine is twice as slow, and ours costs 1.5 of the peer in each.
        let costs = |factor: f64| {
            let mut speed = 1.0;
            move || {
                speed *= 2.0;
                Ok(speed * factor)
            }
        };
        let variants = vec![Variant::new("ours", costs(1.5)), Variant::new("peer", costs(1.0))];
        let row = alternate(5, variants).unwrap().compare("x", "s", "ours", "peer").unwrap();
        assert!(
            close(row.ratio, 1.5) && close(row.ratio_quartiles[0], 1.5) && close(row.ratio_quartiles[1], 1.5)
        );
        assert_eq!(row.ours_samples.len(), 5, "the first round warms up");
    }

    #[test]
    fn rounds_start_with_another_variant_each() {
        let order = std::cell::RefCell::new(String::new());
        let noting = |name: &'static str| {
            let order = &order;
            Variant::new(name, move || {
                order.borrow_mut().push_str(name);
                Ok(1.0)
            })
        };
        alternate(2, vec![noting("a"), noting("b"), noting("c")]).unwrap();
        assert_eq!(order.into_inner(), "abcbcacab");
    }

    #[test]
    fn a_failure_ends_the_measurement_and_says_whose_it_was() {
        let error = alternate(1, vec![Variant::new("broken", || anyhow::bail!("no"))]).err().unwrap();
        assert!(format!("{error:#}").contains("broken, round 0: no"));
    }
}
