//! Record batches, as clients send them and as compaction reads them.

use rand::Rng;
use rand::rngs::StdRng;

use super::{fuzz, mutate, within};
use crate::batch::{self, Codec, HEADER, NewRecord, Records, Sender, build_as};

/// What one batch may take to be checked: windows of the codecs, the largest of them zstd's.
const MOST_BYTES: usize = 24 << 20;

fn draw(rng: &mut StdRng) -> Vec<u8> {
    let codec = Codec::from_number(rng.random_range(0..5)).unwrap();
    let value = vec![rng.random::<u8>(); rng.random_range(0..400)];
    let count = rng.random_range(1..6);
    let records: Vec<_> = (0..count)
        .map(|i| {
            let value = rng.random_ratio(4, 5).then_some(&*value);
            (NewRecord { key: b"key", value }, i * 10)
        })
        .collect();
    let sender = match rng.random() {
        true => Sender::default(),
        false => Sender {
            producer_id: rng.random_range(0..3),
            producer_epoch: 0,
            base_sequence: rng.random_range(0..9),
        },
    };
    build_as(&records, codec, sender)
}

/// The sum made right, so that what is behind it is reached.
fn seal(bytes: &mut [u8]) {
    if bytes.len() < HEADER {
        return;
    }
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[16] = 2;
    let sum = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&sum.to_be_bytes());
}

#[test]
fn batches() {
    fuzz("batches", |rng| {
        let mut bytes = draw(rng);
        let is_valid = rng.random_ratio(1, 10);
        if !is_valid {
            mutate(&mut bytes, rng);
            if rng.random_ratio(7, 8) {
                seal(&mut bytes);
            }
        }
        let checked = within(MOST_BYTES, || batch::check(&bytes, 1 << 20, false));
        assert!(checked.is_ok() || !is_valid, "a valid batch: {checked:?}");
        let Ok(header) = checked else { return };
        // Whatever passes can be read, and holds what it says.
        let unpacked = within(MOST_BYTES, || batch::unpack(&header, &bytes).unwrap());
        let records: Vec<_> = Records::new(&header, &unpacked).collect();
        assert_eq!(records.len(), header.records as usize);
        assert!(records.iter().all(Option::is_some));
    });
}
