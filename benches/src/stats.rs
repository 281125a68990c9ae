//! What a handful of repeated figures come to.

/// Median, best and spread of one metric over the repeats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The middle one; the mean of the two middle ones when there are two.
    pub median: f64,
    /// The best one, which is the lowest or the highest depending on the metric.
    pub best: f64,
    /// Highest minus lowest, in per cent of the median.
    pub spread: f64,
}

/// Which way a metric should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Times, costs.
    Lower,
    /// Rates.
    Higher,
}

impl Summary {
    /// Sums up `values`; `None` when there are none.
    pub fn of(values: &[f64], better: Better) -> Option<Self> {
        let median = median(values)?;
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let best = match better {
            Better::Lower => low,
            Better::Higher => high,
        };
        let spread = if median == 0.0 { 0.0 } else { (high - low) / median * 100.0 };
        Some(Self { median, best, spread })
    }
}

/// The middle of `values`; `None` when there are none.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { upper } else { (upper + sorted[sorted.len() / 2 - 1]) / 2.0 })
}

/// How much faster `ours` is than `theirs`, as a factor: above 1 is faster, whichever way the metric goes.
pub fn speed(ours: f64, theirs: f64, better: Better) -> f64 {
    match better {
        Better::Lower => theirs / ours,
        Better::Higher => ours / theirs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[1.0, 4.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn best_depends_on_the_metric() {
        let values = [10.0, 8.0, 12.0];
        let low = Summary { median: 10.0, best: 8.0, spread: 40.0 };
        assert_eq!(Summary::of(&values, Better::Lower), Some(low));
        assert_eq!(Summary::of(&values, Better::Higher), Some(Summary { best: 12.0, ..low }));
    }

    #[test]
    fn speed_is_above_one_when_faster() {
        assert_eq!(speed(50.0, 100.0, Better::Lower), 2.0);
        assert_eq!(speed(50.0, 100.0, Better::Higher), 0.5);
    }
}
