//! librdkafka's consumer, and how it ends.

use std::{
    convert::Infallible,
    ops::Deref,
    sync::{Arc, Weak},
};

use rdkafka::{
    ClientConfig,
    consumer::{ConsumerContext, StreamConsumer},
    error::KafkaError,
};
use tokio::sync::oneshot;

use crate::aside::Aside;

/// One of the handles on a consumer, which ends when the last of them is dropped.
pub(crate) struct Consumer<C: ConsumerContext + 'static>(Arc<Aside<Inner<C>>>);

pub(crate) struct WeakConsumer<C: ConsumerContext + 'static>(Weak<Aside<Inner<C>>>);

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
        let consumer = Arc::new(settings.create_with_context(context)?);
        let (end, ended) = oneshot::channel();
        let inner = Aside::new(Inner {
            consumer,
            _end: end,
        });
        Ok((Self(Arc::new(inner)), ended))
    }

    pub(crate) fn downgrade(&self) -> WeakConsumer<C> {
        WeakConsumer(Arc::downgrade(&self.0))
    }
}

impl<C: ConsumerContext + 'static> WeakConsumer<C> {
    pub(crate) fn upgrade(&self) -> Option<Consumer<C>> {
        self.0.upgrade().map(Consumer)
    }
}

impl<C: ConsumerContext + 'static> Clone for Consumer<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
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
        &self.0.consumer
    }
}
