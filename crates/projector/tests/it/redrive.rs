//! Promise 5's other half: what was parked is applied again, once and in order.

use compline_event::{Offset, Topic};
use compline_projector::{ProjectionFold, RedriveError, RedriveMode, Redriven, redrive};
use compline_readmodel::{
    Place, Projection as _, Role,
    generation::schema_name,
    park::desk::{self, ParkedKey},
};
use sqlx::Row as _;

use crate::{
    street::{PARTITION, Street},
    tally::{REFUSED, Tally, UNFOLDABLE},
};

async fn parked(street: &Street) -> Vec<ParkedKey> {
    desk::list(&mut street.conn().await).await.unwrap()
}

async fn try_again(
    street: &Street,
    key: &ParkedKey,
    mode: RedriveMode,
) -> Result<Redriven, RedriveError> {
    let mut conn = street
        .postgres
        .connect(Role::Projector, &schema_name(Tally::NAME, 1))
        .await;
    let fold = ProjectionFold::<Tally>::of(1);
    redrive(&mut conn, &street.log, &fold, &key.place, &key.key, mode).await
}

/// "Today's code" is here a table that takes what it refused.
async fn mend(street: &Street) {
    let mend = "ALTER TABLE tally_g1.tally DROP CONSTRAINT tally_statuses_check";
    sqlx::query(mend)
        .execute(&mut street.conn().await)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_applies_the_whole_list_or_nothing() {
    let street = Street::open().await;
    for (ad, status) in [("ad1", "A"), ("ad1", REFUSED), ("ad2", "A"), ("ad1", "B")] {
        street.tell(ad, status, None).await;
    }
    let running = street.start(100);
    street.reached(4).await;
    let key = parked(&street).await.remove(0);
    assert_eq!((key.records, key.first_offset), (2, Offset(1)));

    let refused = try_again(&street, &key, RedriveMode::Apply)
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, RedriveError::Refused { reason, .. } if reason.contains("tally_statuses_check")),
        "{refused}"
    );
    assert_eq!(street.rows().await["ad1"], (1, "A ".to_owned()));

    mend(&street).await;
    let tried = try_again(&street, &key, RedriveMode::Try).await.unwrap();
    assert_eq!(tried.records, 2);
    assert_eq!(
        street.rows().await["ad1"],
        (1, "A ".to_owned()),
        "tried, not kept"
    );
    assert_eq!(parked(&street).await.len(), 1);

    try_again(&street, &key, RedriveMode::Apply).await.unwrap();
    assert_eq!(street.rows().await["ad1"], (3, "A REFUSED B ".to_owned()));
    let again = try_again(&street, &key, RedriveMode::Apply)
        .await
        .unwrap_err();
    assert!(matches!(again, RedriveError::NotParked), "{again}");
    street.tell("ad1", "C", None).await;
    street.reached(5).await;
    running.stop().await;
    assert_eq!(street.rows().await["ad1"], (4, "A REFUSED B C ".to_owned()));
}

/// Events of the key come all the while: each is in the list or in the rows, and none
/// goes before another.
#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_beside_live_traffic_keeps_the_keys_order() {
    let street = Street::open().await;
    mend(&street).await;
    let running = street.start(3);
    let told = 400;
    let telling = async {
        for number in 0..told {
            street.tell("ad1", &number.to_string(), None).await;
        }
    };
    let parking = async {
        for round in 0..12 {
            tokio::time::sleep(std::time::Duration::from_millis(40)).await;
            park(&street, round).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            for key in parked(&street).await {
                let redriven = try_again(&street, &key, RedriveMode::Apply).await;
                assert!(
                    matches!(redriven, Ok(_) | Err(RedriveError::NotParked)),
                    "{redriven:?}"
                );
            }
        }
    };
    tokio::join!(telling, parking);
    street.reached(told).await;
    running.stop().await;
    for key in parked(&street).await {
        try_again(&street, &key, RedriveMode::Apply)
            .await
            .map(drop)
            .unwrap_or_default();
    }
    let expected: String = (0..told).map(|number| format!("{number} ")).collect();
    assert_eq!(street.rows().await["ad1"], (told, expected));
}

/// Sets the key aside as from now on, as a failure of its next event would.
async fn park(street: &Street, round: i32) {
    sqlx::query(
        "INSERT INTO compline.parked_key
             (projection, generation, topic, partition, key, first_offset, reason, code_version)
         SELECT 'tally', 1, 'ad', $1, key, next_offset, $2, 'test'
         FROM compline.checkpoint, (SELECT convert_to(tenant_id || '/ad1', 'UTF8') AS key
                                    FROM tally_g1.tally WHERE ad_id = 'ad1') AS known
         WHERE projection = 'tally' AND partition = $1
         ON CONFLICT DO NOTHING",
    )
    .bind(PARTITION.0)
    .bind(format!("round {round}"))
    .execute(&mut street.conn().await)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discarded_is_written_down_and_its_key_goes_on() {
    let street = Street::open().await;
    for status in ["A", UNFOLDABLE, "B"] {
        street.tell("ad1", status, None).await;
    }
    let running = street.start(100);
    street.reached(3).await;
    let key = parked(&street).await.remove(0);
    let place = Place {
        projection: Tally::NAME.to_owned(),
        generation: 1,
        topic: Topic::Ad,
        partition: PARTITION,
    };
    assert_eq!(key.place, place);
    let mut conn = street.conn().await;
    let given_up = desk::discard(&mut conn, &place, &key.key, "a test's ad")
        .await
        .unwrap();
    assert_eq!(given_up, 2);
    street.tell("ad1", "C", None).await;
    street.reached(4).await;
    running.stop().await;
    assert_eq!(street.rows().await["ad1"], (2, "A C ".to_owned()));
    let row = sqlx::query("SELECT offsets, parked_for, reason FROM compline.discarded_key")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    let (offsets, parked_for): (Vec<i64>, String) = (row.get(0), row.get(1));
    assert_eq!(
        (offsets, parked_for.as_str()),
        (vec![1, 2], "this status cannot be folded")
    );
    assert_eq!(row.get::<String, _>(2), "a test's ad");
}
