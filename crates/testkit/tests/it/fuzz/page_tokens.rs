use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use compline_api::{
    page::{Fingerprint, PageToken},
    query::Position,
    token::{parse_resume_token, places, resume_token},
};
use compline_event::Token;
use compline_testkit::fuzz::{fuzz, mutate};
use rand::{Rng as _, rngs::StdRng};

use super::{corpus, within};

/// In base64 and in what it stands for.
const TELLING: &[&[u8]] = &[b"=", b"-_", b"+/", b"\0", &[0xff; 10], "é".as_bytes()];

/// A token of positions as people write them.
const POSITIONS: &[&[u8]] = &[
    b"ad/",
    b"@",
    b",",
    b"-1",
    b"99999999999999999999",
    b"webhook.meta/0@7",
    b"/",
    " ".as_bytes(),
];

fn damaged(token: &str, rng: &mut StdRng) -> String {
    // Above the encoding, where only letters change, or below it, where bytes do.
    if rng.random() {
        let mut text = token.as_bytes().to_vec();
        mutate(&mut text, TELLING, rng);
        return String::from_utf8_lossy(&text).into_owned();
    }
    let mut bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    mutate(&mut bytes, TELLING, rng);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn page_tokens() {
    let query = Fingerprint::new("ListAds", &["status = \"PAUSED\""]);
    let position = |partition, next_offset| Position {
        topic: "ad".into(),
        partition,
        next_offset,
    };
    let seen = places("", vec![position(0, 7), position(3, 120)]).unwrap();
    let page = PageToken(vec!["2026-01-01T00:00:00Z".into(), "9".into()]).encode(&query);
    let resume = resume_token(&query, seen);
    let positions = "ad/3@120,account/0@7";
    fuzz(&corpus("page_tokens"), |rng| {
        let token = damaged(&page, rng);
        let most = 64 * token.len() + (16 << 10);
        if let Ok(Some(read)) = within(most, || PageToken::decode::<2>(&token, &query)) {
            let written = PageToken(read.to_vec()).encode(&query);
            assert_eq!(PageToken::decode(&written, &query).unwrap(), Some(read));
        }

        let token = damaged(&resume, rng);
        if let Ok(Some(read)) = within(most, || parse_resume_token(&token, &query)) {
            assert!(
                read.iter()
                    .all(|place| place.partition >= 0 && place.next_offset >= 0)
            );
            let written = resume_token(&query, read.clone());
            assert_eq!(parse_resume_token(&written, &query).unwrap(), Some(read));
        }

        let mut text = positions.as_bytes().to_vec();
        mutate(&mut text, POSITIONS, rng);
        let text = String::from_utf8_lossy(&text);
        if let Ok(read) = within(most, || text.parse::<Token>()) {
            assert_eq!(read.to_string().parse::<Token>().unwrap(), read);
        }
    });
}
