//! When a pass is due, how long tombstones stay, and when it is called off.

use std::cell::Cell;

use super::*;

#[test]
fn a_pass_is_due_by_ratio_and_by_age_and_young_segments_stay() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    fill(&partition, 60);
    let due = |compaction: Compaction, now: i64| {
        let settings = LogSettings {
            compaction: Some(compaction),
            ..SETTINGS
        };
        let cleaning = partition.log().cleaning(&settings, now);
        cleaning.is_some_and(|cleaning| cleaning.is_due(now).unwrap())
    };
    let never = Compaction {
        min_cleanable_dirty_ratio: 1.0,
        ..EAGER
    };
    assert!(due(EAGER, 0) && !due(never, i64::MAX));
    // The records are stamped 1000.
    let young = Compaction {
        min_compaction_lag_ms: 500,
        ..EAGER
    };
    assert!(!due(young, 1_499) && due(young, 1_500));
    let old = Compaction {
        max_compaction_lag_ms: 500,
        ..never
    };
    assert!(!due(old, 1_500) && due(old, 1_501));

    compact(&partition, 100, 0).unwrap();
    assert!(!due(EAGER, 0) && !due(old, 1_501));
    let half = Compaction {
        min_cleanable_dirty_ratio: 0.5,
        ..EAGER
    };
    let closed = || {
        let log = partition.log();
        log.bytes() - log.active.size
    };
    let clean = closed();
    let fill_until_due = |compaction: Compaction| {
        while !due(compaction, 0) {
            fill(&partition, 1);
        }
        (closed() - clean) as f64 / clean as f64
    };
    let segment = SETTINGS.segment_bytes as f64 / clean as f64;
    assert!((0.0..=segment).contains(&fill_until_due(EAGER)));
    assert!((1.0..=1.0 + segment).contains(&fill_until_due(half)));
}

#[test]
fn tombstones_stay_for_their_delay_after_the_pass_that_first_kept_them() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    let gone_keys = 100..105u8;
    for value in [Some(1), None] {
        for (key, codec) in gone_keys.clone().zip(CODECS) {
            // Beside a record that stays.
            let records = [(key, value), (key + 50, Some(1))];
            append(&partition, &records, codec, Sender::default());
        }
    }
    let tombstones = |partition: &Partition| {
        let all = read(partition);
        let of_gone = all.values().filter(|(key, _)| gone_keys.contains(key));
        of_gone.filter(|(_, value)| value.is_none()).count()
    };
    fill(&partition, 40);
    compact(&partition, 100, 1_000).unwrap();
    assert_eq!(tombstones(&partition), 5);
    // The clock of the delay goes on over passes and restarts.
    for (now, left) in [(1_050, 5), (1_099, 5), (1_100, 0)] {
        let disk = disk.after_power_loss(0);
        let partition = open(&disk).unwrap();
        fill(&partition, 30);
        compact(&partition, 100, 1_020).unwrap();
        fill(&partition, 30);
        compact(&partition, 100, now).unwrap();
        assert_eq!(tombstones(&partition), left, "at {now}");
        let others = read(&partition);
        assert_eq!(others.values().filter(|(key, _)| *key >= 150).count(), 5);
    }
}

#[test]
fn a_pass_asks_at_each_batch_whether_it_goes_on() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    for value in 0..40 {
        let records = [(value % 3, Some(1))];
        append(&partition, &records, Codec::None, Sender::default());
    }
    partition.roll_if_full(1 << 20, &SETTINGS, 0).unwrap();
    let asked = Cell::new(0);
    let goes_on = || {
        asked.set(asked.get() + 1);
        true
    };
    let cleaning = partition.log().cleaning(&SETTINGS, 0).unwrap();
    let pass = cleaning.run(0, &goes_on, &|work| work(&mut partition.log()));
    assert_eq!(pass.unwrap(), Pass::Done);
    // For the map and for the rewrite.
    assert!(asked.get() >= 2 * 40, "{asked:?}");
}
