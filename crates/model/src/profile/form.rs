//! The structured form of a spec: the JSON that overrides patch, that the store
//! keeps and that `wire` spells for its callers.
