//! The Rust of the READMEs compiles, and what can run does.

#[doc = include_str!("../../README.md")]
struct _Workspace;

#[doc = include_str!("../../crates/wechatpay-model/README.md")]
struct _Model;
