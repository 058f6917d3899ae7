use compline_event::{Envelope, command::Commanded};
use compline_testkit::fuzz::{fuzz, mutate};
use rand::seq::IndexedRandom as _;

use super::{corpus, files, within};

/// Lengths and numbers at their ends, as varints; keys of fields; an unknown version.
const TELLING: &[&[u8]] = &[
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff; 10],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    &[0x72, 0xff, 0xff, 0x7f],
    &[0x20, 0x02],
    &[0x0b, 0x0c],
    &[0],
];

#[test]
fn envelopes() {
    let golden = files("schemas/golden", "binpb");
    assert!(!golden.is_empty());
    fuzz(&corpus("envelopes"), |rng| {
        let mut bytes = golden.choose(rng).unwrap().clone();
        mutate(&mut bytes, TELLING, rng);
        // Strings and lists have a header each, and grow by doubling.
        let most = 64 * bytes.len() + (16 << 10);
        let Ok(read) = within(most, || Envelope::decode(bytes.into())) else {
            return;
        };
        let written = Envelope::decode(read.encode()).unwrap();
        assert_eq!(written, read, "it is not written as it reads");
        assert_eq!(read.event.encode().len(), read.event.encoded_len());
        let _ = Commanded::of(&read);
        if let Ok(tenant) = read.require_tenant() {
            read.event.destination(tenant);
        }
    });
}
