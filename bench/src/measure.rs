//! Rounds, medians, and what was aimed at.

use std::time::{Duration, Instant};

use crate::error::Result;

/// Figures of one side, one a round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(pub(crate) Vec<f64>);

impl Series {
    /// The middle figure; 0 where there is none.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => 0.0,
            n if n % 2 == 1 => sorted[n / 2],
            n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
        }
    }

    /// Smallest and greatest.
    pub(crate) fn spread(&self) -> (f64, f64) {
        let sorted = self.sorted();
        (sorted.first().copied().unwrap_or_default(), sorted.last().copied().unwrap_or_default())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// What a row of the table aims at. The ratio is ours divided by the limit's.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    /// The ratio is at least this.
    AtLeast(f64),
    /// The ratio is at most this.
    AtMost(f64),
    /// Our figure itself is under this.
    Under(f64),
    /// Shown for what it says.
    Shown,
}

/// A row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// What is done.
    pub(crate) work: String,
    /// What the figures count.
    pub(crate) unit: &'static str,
    /// Steward's.
    pub(crate) ours: Series,
    /// What the limit is, in a few words; empty where there is none.
    pub(crate) against: &'static str,
    /// The limit's.
    pub(crate) limit: Series,
    /// What is aimed at.
    pub(crate) aim: Aim,
}

impl Line {
    /// Ours divided by the limit's, median by median.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let limit = self.limit.median();
        (limit > 0.0).then(|| self.ours.median() / limit)
    }

    /// Whether the aim is met; none where there is none.
    pub(crate) fn is_met(&self) -> Option<bool> {
        match self.aim {
            Aim::AtLeast(aim) => self.ratio().map(|ratio| ratio >= aim),
            Aim::AtMost(aim) => self.ratio().map(|ratio| ratio <= aim),
            Aim::Under(aim) => Some(self.ours.median() < aim),
            Aim::Shown => None,
        }
    }
}

/// How long and how often is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Rounds of each side, taken in turn.
    pub(crate) rounds: usize,
    /// Length of one round in whole seconds, which is what pgbench counts in.
    pub(crate) seconds: u64,
}

impl Plan {
    /// The length of one round.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// Runs both sides in turn, round by round: what disturbs the machine meets both.
pub(crate) async fn in_turn(
    plan: Plan,
    mut ours: impl AsyncFnMut() -> Result<f64>,
    mut limit: impl AsyncFnMut() -> Result<f64>,
) -> Result<(Series, Series)> {
    let (mut a, mut b) = (Series::default(), Series::default());
    for _ in 0..plan.rounds {
        a.0.push(ours().await?);
        b.0.push(limit().await?);
    }
    Ok((a, b))
}

/// Work done by `callers` at once, for the plan's length; answers how often a second. `work` is given the caller's number
/// and how often it was called.
pub(crate) async fn rate<F, W>(callers: usize, length: Duration, work: F) -> Result<f64>
where
    F: Fn(usize, usize) -> W + Clone + Send + 'static,
    W: Future<Output = Result<()>> + Send,
{
    // Connections and prepared statements are there before the clock starts, as pgbench counts it.
    let warm = (0..callers).map(|caller| {
        let work = work.clone();
        tokio::spawn(async move { work(caller, 0).await })
    });
    for done in futures_util::future::join_all(warm).await {
        done??;
    }
    let began = Instant::now();
    let end = began + length;
    let running = (0..callers).map(|caller| {
        let work = work.clone();
        tokio::spawn(async move {
            let mut count = 0;
            while Instant::now() < end {
                work(caller, count).await?;
                count += 1;
            }
            Ok::<_, crate::error::Error>(count)
        })
    });
    let mut total = 0;
    for done in futures_util::future::join_all(running).await {
        total += done??;
    }
    Ok(as_f64(total) / began.elapsed().as_secs_f64())
}

/// A count as a figure.
#[allow(clippy::cast_precision_loss, reason = "counts of a run are far below 2^52")]
pub(crate) fn as_f64(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::{Aim, Line, Series};

    #[test]
    fn medians_ratios_and_aims() {
        let line = |aim| Line {
            work: String::new(),
            unit: "1/s",
            ours: Series(vec![9.0, 1.0, 8.0]),
            against: "",
            limit: Series(vec![10.0, 12.0, 8.0, 10.0]),
            aim,
        };
        let one = line(Aim::AtLeast(0.8));
        assert_eq!((one.ours.median(), one.ours.spread()), (8.0, (1.0, 9.0)));
        assert_eq!((one.limit.median(), one.ratio()), (10.0, Some(0.8)));
        assert_eq!(one.is_met(), Some(true));
        assert_eq!(line(Aim::AtMost(0.7)).is_met(), Some(false));
        assert_eq!(line(Aim::Under(8.0)).is_met(), Some(false));
        assert_eq!(line(Aim::Shown).is_met(), None);
    }
}
