//! librdkafka's consumer, and how it ends.
//!
//! A consumer that is dropped blocks until it has left its group: and that has no
//! end while a commit of it waits for a log that is away. So whoever drops the last
//! handle goes on at once, be it a runtime's thread or a whole runtime at its own
//! end, and a thread of the consumer's own does the waiting.

use std::{
    convert::Infallible,
    ops::Deref,
    sync::{Arc, Weak},
    thread,
};

use rdkafka::{
    ClientConfig,
    consumer::{ConsumerContext, StreamConsumer},
    error::KafkaError,
};
use tokio::sync::oneshot;

/// One of the handles on a consumer.
pub(crate) struct Consumer<C: ConsumerContext + 'static>(Option<Arc<Inner<C>>>);

pub(crate) struct WeakConsumer<C: ConsumerContext + 'static>(Weak<Inner<C>>);

/// Dropped in this order: the end is told when it has come.
struct Inner<C: ConsumerContext + 'static> {
    /// Shared with the queues of its partitions, which go before their readers' handles.
    consumer: Arc<StreamConsumer<C>>,
    _end: oneshot::Sender<Infallible>,
}

/// Resolves when the consumer is no more.
pub(crate) type Ended = oneshot::Receiver<Infallible>;

impl<C: ConsumerContext + 'static> Consumer<C> {
    pub(crate) fn new(settings: &ClientConfig, context: C) -> Result<(Self, Ended), KafkaError> {
        let consumer = settings.create_with_context(context)?;
        let (end, ended) = oneshot::channel();
        let inner = Inner {
            consumer: Arc::new(consumer),
            _end: end,
        };
        Ok((Self(Some(Arc::new(inner))), ended))
    }

    pub(crate) fn downgrade(&self) -> WeakConsumer<C> {
        WeakConsumer(self.0.as_ref().map(Arc::downgrade).unwrap_or_default())
    }
}

impl<C: ConsumerContext + 'static> WeakConsumer<C> {
    pub(crate) fn upgrade(&self) -> Option<Consumer<C>> {
        self.0.upgrade().map(|inner| Consumer(Some(inner)))
    }
}

impl<C: ConsumerContext + 'static> Clone for Consumer<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<C: ConsumerContext + 'static> Clone for WeakConsumer<C> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl<C: ConsumerContext + 'static> Default for WeakConsumer<C> {
    fn default() -> Self {
        Self(Weak::new())
    }
}

impl<C: ConsumerContext + 'static> Deref for Consumer<C> {
    type Target = Arc<StreamConsumer<C>>;

    fn deref(&self) -> &Self::Target {
        let inner = self.0.as_ref();
        &inner.expect("taken only when dropped").consumer
    }
}

impl<C: ConsumerContext + 'static> Drop for Consumer<C> {
    fn drop(&mut self) {
        if let Some(last) = self.0.take().and_then(Arc::into_inner) {
            thread::spawn(move || drop(last));
        }
    }
}
