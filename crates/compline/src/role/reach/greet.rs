//! Whether what listens somewhere speaks Kafka's protocol. Kafka's client itself tries
//! for as long as it is asked to, and says neither where nor what it found there.

use std::{borrow::Cow, io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const NO_BROKER: &str = "no broker of Kafka's listens there";
/// Any number that comes back only from who has read the request.
const CORRELATION: i32 = 0x636f_6d70;
/// ApiVersions in version 0, which every broker answers, before it asks who one is.
const API_VERSIONS: i16 = 18;
/// Length, correlation id, error code.
const HEAD: usize = 10;
/// An answer of this kind has some hundreds of bytes.
const LONGEST: i32 = 1 << 20;
/// Of what is no answer, so much is shown.
const SHOWN: usize = 40;

/// Asks one question of Kafka's, and waits for the connection and for the answer so long
/// at most. `encrypted` says that the brokers speak TLS, which is not spoken here: then it
/// is enough that somebody listens.
pub(super) async fn greet(address: &str, encrypted: bool, most: Duration) -> io::Result<()> {
    let seconds = most.as_secs();
    let connected = timeout(most, TcpStream::connect(address)).await;
    let stream =
        connected.map_err(|_| io::Error::other(format!("no connection within {seconds} s")))??;
    if encrypted {
        return Ok(());
    }
    let asked = timeout(most, ask(stream)).await;
    asked.map_err(|_| io::Error::other(format!("{NO_BROKER}: it is silent, for {seconds} s")))?
}

async fn ask(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(&question()).await?;
    let mut answer = Vec::new();
    while answer.len() < HEAD {
        match stream.read_buf(&mut answer).await {
            Ok(0) => break,
            Ok(_) if !may_be_kafka(&answer) => break,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
    }
    match answer.len() >= HEAD && may_be_kafka(&answer) {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "{NO_BROKER}: {}",
            describe(&answer)
        ))),
    }
}

fn question() -> Vec<u8> {
    let client = b"compline";
    let mut body = Vec::new();
    body.extend(API_VERSIONS.to_be_bytes());
    body.extend(0_i16.to_be_bytes());
    body.extend(CORRELATION.to_be_bytes());
    body.extend((client.len() as i16).to_be_bytes());
    body.extend(client);
    let mut question = (body.len() as i32).to_be_bytes().to_vec();
    question.extend(body);
    question
}

/// As far as it has come.
fn may_be_kafka(answer: &[u8]) -> bool {
    let number = |at: usize| {
        let bytes = answer.get(at..at + 4)?;
        Some(i32::from_be_bytes(bytes.try_into().ok()?))
    };
    number(0).is_none_or(|length| (6..=LONGEST).contains(&length))
        && number(4).is_none_or(|correlation| correlation == CORRELATION)
}

/// What it is instead, as far as its first bytes tell.
fn describe(answer: &[u8]) -> Cow<'static, str> {
    match answer {
        [] => "it hangs up (a broker that wants TLS does so too: security.protocol)".into(),
        [0x15 | 0x16, 0x03, ..] => {
            "it speaks TLS (for a broker that does, set security.protocol)".into()
        }
        [b'H', b'T', b'T', b'P', b'/', ..] => "it speaks HTTP".into(),
        // The frame SETTINGS on stream 0.
        [0, 0, _, 4, _, 0, 0, 0, 0, ..] => "it speaks HTTP/2".into(),
        some => {
            let shown = &some[..some.len().min(SHOWN)];
            format!("it answers \"{}\"", shown.escape_ascii()).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// What is said of a listener that answers so and hangs up, or stays.
    async fn said_of(answer: &'static [u8], stays: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 22];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(answer).await.unwrap();
            stays.then_some(stream)
        };
        let greeting = greet(&address, false, Duration::from_secs(1));
        let (greeted, _stream) = tokio::join!(greeting, answering);
        greeted.map_or_else(|error| error.to_string(), |()| "Kafka".to_owned())
    }

    #[tokio::test]
    async fn what_is_no_broker_is_told_by_its_first_bytes() {
        for (answer, said) in [
            (&b""[..], "it hangs up"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks HTTP"),
            (b"\x15\x03\x03\x00\x02\x02\x46", "it speaks TLS"),
            (
                b"SSH-2.0-OpenSSH_9\r\n",
                "it answers \"SSH-2.0-OpenSSH_9\\r\\n\"",
            ),
            // A length, and somebody else's number.
            (b"\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00", "it answers"),
            // One that is cut off.
            (b"\x00\x00\x00\x0acomp", "it answers"),
            (b"\x00\x00\x00\x0acomp\x00\x00\x00\x00\x00\x00", "Kafka"),
        ] {
            let found = said_of(answer, false).await;
            assert!(found.contains(said), "{answer:?}: {found}");
        }
        let found = said_of(b"", true).await;
        assert!(found.ends_with("it is silent, for 1 s"), "{found}");
    }
}
