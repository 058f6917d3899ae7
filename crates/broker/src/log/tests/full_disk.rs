//! A disk that fills up, wherever it does.

use super::*;

/// Appends until the disk is full. Gives the offsets that were taken.
fn append_all(partition: &Partition, count: i64) -> Result<Vec<i64>, Vec<i64>> {
    let mut taken = Vec::new();
    for i in 0..count {
        match append_with(partition, i, &SETTINGS) {
            Ok(appended) => taken.push(appended.offset),
            Err(AppendError::Disk(_)) => return Err(taken),
            Err(error) => panic!("{error:?}"),
        }
    }
    Ok(taken)
}

#[test]
fn appends_are_refused_and_all_goes_on_when_there_is_room_again() {
    let mut in_a_roll = 0;
    for room in (0..6_000).step_by(37) {
        let disk = new_disk();
        let partition = open(&disk).unwrap();
        let mut wanted = append_all(&partition, 10).unwrap();
        partition.sync().unwrap();
        disk.fill_up_after(Some(room));
        let taken = append_all(&partition, 100).unwrap_err();
        wanted.extend(taken);
        // What was taken is made durable and read, and it stays refused.
        partition.sync().unwrap();
        partition.sync_mark().unwrap();
        assert_eq!(offsets(&partition), wanted, "room for {room} bytes");
        let end = end(&partition);
        let was_rolling = partition.log().is_full(200, &SETTINGS, 0);
        in_a_roll += usize::from(was_rolling);
        if was_rolling {
            assert!(partition.roll_if_full(200, &SETTINGS, 0).is_err());
        }
        // A start on the full disk shows the same.
        let full = disk.copy();
        full.fill_up_after(Some(0));
        if let Ok(again) = open(&full) {
            assert_eq!(offsets(&again), wanted);
        }
        disk.fill_up_after(None);
        wanted.extend(append_all(&partition, 30).unwrap());
        assert_eq!(wanted[wanted.len() - 30], end);
        partition.sync().unwrap();
        assert_eq!(offsets(&partition), wanted);
        let again = open(&disk.after_power_loss(0)).unwrap();
        assert_eq!(offsets(&again), wanted);
    }
    assert!(in_a_roll > 5, "{in_a_roll} of them while it was rolled");
}

#[test]
fn retention_makes_room_on_a_full_disk() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    append_all(&partition, 100).unwrap();
    partition.sync().unwrap();
    disk.fill_up_after(Some(0));
    let all = LogSettings {
        retention_bytes: 0,
        ..SETTINGS
    };
    let active = partition.log().active.base;
    // The one that is written cannot be closed: there is no room for its index.
    partition.retain(&all, 0).unwrap();
    assert_eq!((start_of(&partition), end(&partition)), (active, 200));
    disk.fill_up_after(Some(1_000));
    partition.retain(&all, 0).unwrap();
    assert_eq!(start_of(&partition), 200);
}

#[test]
fn a_stop_on_a_full_disk_is_an_error_and_loses_nothing() {
    let disk = new_disk();
    let partition = open(&disk).unwrap();
    let wanted = append_all(&partition, 25).unwrap();
    disk.fill_up_after(Some(0));
    assert!(matches!(partition.close(), Err(Error::Io { .. })));
    assert_eq!(
        offsets(&open(&disk.after_power_loss(0)).unwrap()),
        wanted,
        "it was synced first"
    );
}
