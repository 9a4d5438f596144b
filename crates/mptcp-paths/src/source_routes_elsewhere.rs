//! Source routes of systems without rtnetlink: they can't be opened, so nothing else can be called.

use std::convert::Infallible;

use crate::Error;
use crate::auto::SourceRouting;

#[derive(Debug)]
pub(crate) struct SourceRoutes(Infallible);

impl SourceRoutes {
    pub(crate) fn open() -> Result<Self, Error> {
        Err(Error::Unsupported)
    }

    pub(crate) fn add(&mut self, _routing: &SourceRouting) -> Result<(), Error> {
        match self.0 {}
    }

    pub(crate) fn delete(&mut self, _routing: &SourceRouting) -> Result<(), Error> {
        match self.0 {}
    }
}
