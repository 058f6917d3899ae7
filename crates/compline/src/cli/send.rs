//! `compline send`: plays Meta, our own relay, or Stripe.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use compline_event::AdAccountId;
use serde_json::json;
use time::OffsetDateTime;

use super::wait::Wait;
use crate::{
    client::{Target, parse_duration},
    output::{Output, printable},
    webhook::{
        Answer, Poster, Sender,
        sample::{self, Sample},
    },
};

#[derive(Debug, Args)]
#[command(after_help = shapes())]
pub(super) struct Send {
    /// Which shape (see below), or all
    #[arg(value_name = "SHAPE", value_parser = parse_shape, default_value = "all", conflicts_with = "file")]
    shape: Shape,

    /// Post this file's bytes as they are instead of a sample
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Whose webhook the file is
    #[arg(long = "as", value_enum, default_value_t = SenderName::Meta, requires = "file")]
    sender: SenderName,

    /// The ad account that samples are about; each has sample ads of its own
    #[arg(long, value_name = "ID", default_value = sample::ACCOUNT)]
    account: AdAccountId,

    #[command(flatten)]
    ingress: Ingress,
    #[command(flatten)]
    wait: Wait,
}

/// Where webhooks go, and the secrets that sign them.
#[derive(Debug, Clone, Args)]
pub(super) struct Ingress {
    /// Where ingress listens, without a path [default: the data folder's street]
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// Sign as Meta with this app secret [default: the first one of the configuration]
    #[arg(
        long,
        value_name = "SECRET",
        env = "COMPLINE_WEBHOOK_SECRET",
        hide_env_values = true
    )]
    pub(super) secret: Option<String>,
    /// Sign as Stripe with this endpoint secret [default: the first one of the configuration]
    #[arg(
        long,
        value_name = "SECRET",
        env = "COMPLINE_STRIPE_SECRET",
        hide_env_values = true
    )]
    pub(super) stripe_secret: Option<String>,
    /// How long to wait for each answer
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "10s")]
    pub(super) timeout: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    All,
    One(&'static Sample),
}

fn parse_shape(text: &str) -> Result<Shape, String> {
    if text == "all" {
        return Ok(Shape::All);
    }
    sample::find(text).map(Shape::One).ok_or_else(|| {
        let names: Vec<&str> = sample::ALL.iter().map(|sample| sample.name).collect();
        format!(
            "no shape is called {text:?}; there are all, {}",
            names.join(", ")
        )
    })
}

fn shapes() -> String {
    let mut text = String::from("Shapes:\n");
    for sample in sample::ALL {
        text.push_str(&format!("  {:<22} {}\n", sample.name, sample.about));
    }
    text
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SenderName {
    Meta,
    Stripe,
}

impl From<SenderName> for Sender {
    fn from(name: SenderName) -> Self {
        match name {
            SenderName::Meta => Sender::Meta,
            SenderName::Stripe => Sender::Stripe,
        }
    }
}

impl Ingress {
    pub(super) fn poster(&self, target: &Target) -> Result<Poster> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => format!("http://{}", target.street().running()?.addresses.ingress),
        };
        Poster::new(&url, self.timeout)
    }
}

impl Ingress {
    /// The secret that signs as `sender`.
    pub(super) fn secret_of(&self, sender: Sender, target: &Target) -> Result<String> {
        let given = match sender {
            Sender::Meta => &self.secret,
            Sender::Stripe => &self.stripe_secret,
        };
        if let Some(secret) = given {
            return Ok(secret.clone());
        }
        let settings = target.settings()?.ingress;
        let (key, secrets) = match sender {
            Sender::Meta => ("ingress.meta.app_secrets", settings.meta.app_secrets),
            Sender::Stripe => (
                "ingress.stripe.signing_secrets",
                settings.stripe.signing_secrets,
            ),
        };
        let secret = secrets
            .first()
            .with_context(|| format!("no secret: configuration key `{key}` has none"))?;
        Ok(secret.expose().to_owned())
    }
}

impl Send {
    pub(super) async fn run(self, target: &Target, out: &mut Output) -> Result<()> {
        let poster = self.ingress.poster(target)?;
        let mut refused = 0;
        for (name, sender, body) in self.posts()? {
            let secret = self.ingress.secret_of(sender, target)?;
            let answer = poster.post(sender, &secret, body).await?;
            refused += u32::from(!answer.status.is_success());
            show_answer(out, &name, sender, &answer)?;
        }
        if self.ingress.url.is_none() {
            self.wait.settle(target, out).await?;
        }
        ensure!(refused == 0, "{refused} refused");
        Ok(())
    }

    fn posts(&self) -> Result<Vec<(String, Sender, Bytes)>> {
        if let Some(path) = &self.file {
            let body = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            return Ok(vec![(
                path.display().to_string(),
                self.sender.into(),
                body.into(),
            )]);
        }
        let samples = match self.shape {
            Shape::All => sample::ALL,
            Shape::One(sample) => std::slice::from_ref(sample),
        };
        let now = OffsetDateTime::now_utc();
        samples
            .iter()
            .map(|sample| {
                let body = sample.body(&self.account, now)?;
                Ok((sample.name.to_owned(), sample.sender, body))
            })
            .collect()
    }
}

fn show_answer(out: &mut Output, name: &str, sender: Sender, answer: &Answer) -> Result<()> {
    if out.is_json() {
        out.json(&json!({
            "sent": name,
            "path": sender.path(),
            "status": answer.status.as_u16(),
            "answer": answer.body,
        }))?;
        return Ok(());
    }
    out.line(format!(
        "{name:<22} {} {}",
        answer.status,
        printable(&answer.body)
    ))?;
    Ok(())
}
