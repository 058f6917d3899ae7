//! What one side of one round took.

use std::time::Instant;

use crate::{house::OwnDatabase, measure::median};

/// Seconds, all but `events`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// That were written meanwhile.
    pub(crate) events: usize,
    /// Until the first batch, before the clock began.
    pub(crate) start: f64,
    pub(crate) clock: f64,
    /// Of processors, by that side's own processes and by Postgres.
    pub(crate) own: f64,
    pub(crate) postgres: f64,
}

impl Spent {
    /// Since `began`; `processor` is what that side's own processes have used so far.
    pub(crate) fn since_start(began: Instant, processor: f64, database: &OwnDatabase) -> Self {
        Self {
            events: 0,
            start: 0.0,
            clock: began.elapsed().as_secs_f64(),
            own: processor,
            postgres: database.processor_seconds(),
        }
    }

    pub(crate) fn minus(self, before: Spent) -> Self {
        Self {
            clock: self.clock - before.clock,
            own: self.own - before.own,
            postgres: self.postgres - before.postgres,
            ..self
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn each(&self, seconds: f64) -> f64 {
        seconds / self.events as f64
    }
}

/// Events a second, of both sides of each round.
pub(crate) fn per_second(rounds: &[(Spent, Spent)]) -> Vec<(f64, f64)> {
    let of = |spent: &Spent| 1.0 / spent.each(spent.clock);
    rounds
        .iter()
        .map(|(ours, limit)| (of(ours), of(limit)))
        .collect()
}

/// A note on what an event costs both.
pub(crate) fn processor_time(rounds: &[(Spent, Spent)], limit: &str) -> String {
    let us = |seconds: fn(&Spent) -> f64, side: fn(&(Spent, Spent)) -> &Spent| {
        let of = |round| side(round).each(seconds(side(round))) * 1e6;
        median(rounds.iter().map(of))
    };
    format!(
        "processor time of an event: ours {:.1} µs and {:.1} µs in Postgres, \
         {limit} {:.1} µs and {:.1} µs",
        us(|spent| spent.own, |round| &round.0),
        us(|spent| spent.postgres, |round| &round.0),
        us(|spent| spent.own, |round| &round.1),
        us(|spent| spent.postgres, |round| &round.1),
    )
}
