//! A stop: no one new, and everyone inside is answered.

use compline_event::Topic;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::fixture::{self, META_SECRETS};
use crate::peer::{answer, delivery, send};
use crate::street::{config, whole, within};

#[tokio::test]
async fn what_is_in_flight_is_finished_and_nothing_new_begins() {
    let (street, _embedded) = whole(config()).await;
    let it = fixture::one("meta/thousand-changes.json", META_SECRETS[0]);
    let request = delivery(it);
    let (sent, kept_back) = request.split_at(request.len() - 10);
    let mut stream = TcpStream::connect(street.address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    // Once another is answered, the first one's head was read long ago.
    assert_eq!(send(street.address, &delivery(it)).await.status, 200);

    street.stop.cancel();
    within(async { while TcpStream::connect(street.address).await.is_ok() {} }).await;
    assert!(!street.served.is_finished(), "it waits for the first");
    stream.write_all(kept_back).await.unwrap();
    assert_eq!(answer(&mut stream).await.status, 200);
    within(async {
        while !street.served.is_finished() {
            tokio::task::yield_now().await
        }
    })
    .await;
    assert_eq!(street.records(Topic::WebhookMeta).await.len(), 2);
}
