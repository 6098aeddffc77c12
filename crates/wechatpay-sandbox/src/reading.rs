//! The sandbox's reading of a request without a wire, for tests that hold it against the client's.

use crate::rules::{self, Facts};
use crate::schema::{Forms, Violation};
use serde_json::Value;
use wechatpay_model::Spec;

/// Judges flat requests by schema and rules, as the sandbox judges those that arrive.
#[derive(Default)]
pub struct Reading(Forms);

impl Reading {
    /// All that is wrong with a request of this merchant at this Unix time.
    ///
    /// # Errors
    /// The schema of the operation cannot be compiled.
    pub fn violations(
        &self,
        spec: &'static Spec,
        request: &Value,
        now: i64,
        caller: &str,
    ) -> Result<Vec<Violation>, String> {
        let form = self.0.get(spec)?;
        let mut request = request.clone();
        form.resolve_aliases(&mut request);
        let mut found = form.violations(&request);
        found.extend(rules::broken(form.rules(), Facts { request: &request, now, caller }));
        Ok(found)
    }
}
