//! Rules that make requests go wrong: which ones, how often, and how.

use crate::ambient;
use crate::faults::{Asked, Fault};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A rule that makes requests to the emulated API go wrong.
///
/// As text: `FAULT;operation=…;nth=…;probability=…;times=…;seed=…`, everything but the fault as you like.
///
/// Rules are asked in their order, and the first that applies has the request. Each counts the requests that concern it.
/// A request that names its fault itself, with `X-Sandbox-Fault`, is not asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultRule {
    /// A fault as in the header: `NAME[=argument]`; see [`FAULTS`](crate::FAULTS).
    pub fault: String,
    /// Id of an operation, or a family: only its requests are concerned. Default: all requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The rule applies from the nth request that concerns it, counted from 1. With nothing said of `times` and
    /// `probability`, it applies once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// How likely it applies to a request, from 0 to 1. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// How often it applies at most. Default: no end to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Decides which requests the probability hits: the same seed, the same ones. Default: the sandbox's seed and the
    /// rule's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl FaultRule {
    /// Applies this fault, `NAME[=argument]`, to every request. Whether it is one shows when the rule is added.
    pub fn new(fault: impl Into<String>) -> Self {
        Self { fault: fault.into(), operation: None, nth: None, probability: None, times: None, seed: None }
    }

    /// The fault, if all of the rule makes sense.
    fn check(&self) -> Result<Fault, String> {
        let fault = Fault::parse(&self.fault)?;
        if let Some(named) = &self.operation
            && !wechatpay_model::operations().any(|spec| concerns(named, spec.id()))
        {
            return Err(format!("there is no operation or family {named:?}; `wechatpay ops` lists them"));
        }
        for (name, number) in [("nth", self.nth), ("times", self.times)] {
            if number == Some(0) {
                return Err(format!("{name} is 0; it counts from 1"));
            }
        }
        match self.probability {
            Some(probability) if !(0.0..=1.0).contains(&probability) => {
                Err(format!("probability is {probability}; it lies between 0 and 1"))
            }
            _ => Ok(fault),
        }
    }

    /// How often it applies at most.
    fn most(&self) -> u64 {
        let usual = if self.nth.is_some() && self.probability.is_none() { 1 } else { u64::MAX };
        self.times.unwrap_or(usual)
    }
}

impl FromStr for FaultRule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(';');
        let mut rule = Self::new(parts.next().unwrap_or_default().trim());
        for part in parts {
            let (name, value) = part.split_once('=').ok_or_else(|| format!("{part:?}: write name=value"))?;
            let (name, value) = (name.trim(), value.trim());
            match name {
                "operation" => rule.operation = Some(value.to_owned()),
                "nth" => rule.nth = Some(number(name, value)?),
                "times" => rule.times = Some(number(name, value)?),
                "seed" => rule.seed = Some(number(name, value)?),
                "probability" => rule.probability = Some(number(name, value)?),
                _ => {
                    let known = "operation, nth, probability, times and seed";
                    return Err(format!("a rule has no {name:?}; after the fault it takes {known}"));
                }
            }
        }
        rule.check().map(|_| rule)
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} is {value:?}; it takes a number"))
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fault)?;
        if let Some(operation) = &self.operation {
            write!(f, ";operation={operation}")?;
        }
        for (name, number) in [("nth", self.nth), ("times", self.times), ("seed", self.seed)] {
            if let Some(number) = number {
                write!(f, ";{name}={number}")?;
            }
        }
        self.probability.map_or(Ok(()), |probability| write!(f, ";probability={probability}"))
    }
}

/// Whether an operation, or a family, is meant.
fn concerns(named: &str, operation: &str) -> bool {
    operation == named || operation.split('.').next() == Some(named)
}

/// A rule that stands, and what it has done.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[non_exhaustive]
pub struct StandingRule {
    /// Its id, which the request log names.
    pub id: u64,
    /// The rule.
    #[serde(flatten)]
    pub rule: FaultRule,
    /// How many requests concerned it.
    pub seen: u64,
    /// To how many of them it was applied.
    pub applied: u64,
    #[serde(skip)]
    fault: Fault,
    #[serde(skip)]
    seed: u64,
}

impl StandingRule {
    /// Counts a request that concerns the rule, and says whether it applies.
    fn applies(&mut self) -> bool {
        self.seen += 1;
        self.seen >= self.rule.nth.unwrap_or(1) && self.applied < self.rule.most() && self.is_hit()
    }

    fn is_hit(&self) -> bool {
        // 53 bits are what fits a float.
        let drawn = (ambient::mix(self.seed, self.seen) >> 11) as f64 / (1u64 << 53) as f64;
        self.rule.probability.is_none_or(|probability| drawn < probability)
    }
}

/// How many rules there may be.
const MOST: usize = 1000;

/// The rules that stand.
#[derive(Debug, Default)]
pub(crate) struct FaultRules {
    rules: Vec<StandingRule>,
    last: u64,
}

impl FaultRules {
    /// Adds a rule behind the others.
    pub(crate) fn add(&mut self, rule: FaultRule, seed: u64) -> Result<&StandingRule, String> {
        let fault = rule.check()?;
        if self.rules.len() >= MOST {
            return Err(format!("there are {MOST} rules already; remove some"));
        }
        self.last += 1;
        let seed = rule.seed.unwrap_or_else(|| ambient::mix(seed, self.last));
        self.rules.push(StandingRule { id: self.last, rule, seen: 0, applied: 0, fault, seed });
        self.rules.last().ok_or_else(String::new)
    }

    pub(crate) fn all(&self) -> &[StandingRule] {
        &self.rules
    }

    /// Removes one, or all; says how many.
    pub(crate) fn remove(&mut self, id: Option<u64>) -> usize {
        let before = self.rules.len();
        self.rules.retain(|rule| id.is_some_and(|id| rule.id != id));
        before - self.rules.len()
    }

    /// Lets the counts begin again.
    pub(crate) fn rewind(&mut self) {
        for rule in &mut self.rules {
            (rule.seen, rule.applied) = (0, 0);
        }
    }

    /// The fault of the first rule that applies to a request of this operation.
    pub(crate) fn pick(&mut self, operation: impl FnOnce() -> Option<&'static str>) -> Option<Asked> {
        if self.rules.is_empty() {
            return None;
        }
        let operation = operation();
        let is_concerned = |rule: &FaultRule| match (&rule.operation, operation) {
            (None, _) => true,
            (Some(named), Some(operation)) => concerns(named, operation),
            (Some(_), None) => false,
        };
        let mut picked = None;
        for rule in self.rules.iter_mut().filter(|rule| is_concerned(&rule.rule)) {
            if rule.applies() && picked.is_none() {
                picked = Some(Asked { fault: rule.fault.clone(), name: rule.rule.fault.clone(), rule: Some(rule.id) });
            }
        }
        picked
    }

    /// Counts that a rule was applied.
    pub(crate) fn applied(&mut self, id: u64) {
        if let Some(rule) = self.rules.iter_mut().find(|rule| rule.id == id) {
            rule.applied += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The requests, of `favor.get_stock`, to which the rules apply: number of the request, and the rule.
    fn applied(rules: &[&str], seed: u64, requests: u64) -> Vec<(u64, u64)> {
        let mut standing = FaultRules::default();
        for rule in rules {
            standing.add(rule.parse().unwrap(), seed).unwrap();
        }
        let mut pick = |request| {
            let rule = standing.pick(|| Some("favor.get_stock"))?.rule.unwrap();
            standing.applied(rule);
            Some((request, rule))
        };
        (1..=requests).filter_map(&mut pick).collect()
    }

    #[test]
    fn rules_apply_to_the_requests_that_they_name() {
        for (rules, expected) in [
            (&["refuse"][..], &[(1, 1), (2, 1), (3, 1), (4, 1)][..]),
            (&["refuse;nth=2"], &[(2, 1)]),
            (&["refuse;nth=2;times=2"], &[(2, 1), (3, 1)]),
            (&["refuse;times=1"], &[(1, 1)]),
            (&["refuse;operation=favor.get_stock;nth=4"], &[(4, 1)]),
            (&["refuse;operation=favor;times=1"], &[(1, 1)]),
            (&["refuse;operation=busifavor"], &[]),
            (&["refuse;operation=favor.list_stocks"], &[]),
            (&["refuse;probability=0"], &[]),
            (&["refuse;probability=1;times=3"], &[(1, 1), (2, 1), (3, 1)]),
            // The first that applies has the request; the others have counted it.
            (&["stall;times=1", "refuse;times=1"], &[(1, 1), (2, 2)]),
            (&["stall;nth=2", "refuse;nth=3", "forge;times=1"], &[(1, 3), (2, 1), (3, 2)]),
        ] {
            assert_eq!(applied(rules, 0, 4), expected, "{rules:?}");
        }
    }

    #[test]
    fn chance_follows_from_the_seed() {
        let some = applied(&["refuse;probability=0.25"], 1, 4000);
        assert!((900..1100).contains(&some.len()), "{}", some.len());
        assert_eq!(some, applied(&["refuse;probability=0.25"], 1, 4000));
        assert_ne!(some, applied(&["refuse;probability=0.25"], 2, 4000));
        // A seed of its own does not care for the sandbox's.
        let own = ["refuse;probability=0.25;seed=9"];
        assert_eq!(applied(&own, 1, 100), applied(&own, 2, 100));
        assert_ne!(applied(&own, 1, 100), applied(&["refuse;probability=0.25;seed=8"], 1, 100));
    }

    #[test]
    fn a_rule_is_written_as_it_is_read() {
        for text in ["refuse", "error=403:NO_AUTH;operation=favor.send_coupon;nth=2;times=3;seed=4;probability=0.5"] {
            let rule: FaultRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
            let json = serde_json::to_value(&rule).unwrap();
            assert_eq!(serde_json::from_value::<FaultRule>(json).unwrap(), rule);
        }
        assert_eq!("stall=5 ; nth = 2".parse::<FaultRule>().unwrap().to_string(), "stall=5;nth=2");
    }

    #[test]
    fn what_makes_no_sense_says_so() {
        for (text, named) in [
            ("explode", "explode"),
            ("refuse;nth=0", "nth"),
            ("refuse;times=0", "times"),
            ("refuse;times=-1", "times"),
            ("refuse;probability=1.5", "probability"),
            ("refuse;probability=NaN", "probability"),
            ("refuse;operation=favour", "favour"),
            ("refuse;often=1", "often"),
            ("refuse;nth", "nth"),
        ] {
            let error = text.parse::<FaultRule>().unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn rules_are_removed_and_begin_again() {
        let mut rules = FaultRules::default();
        for _ in 0..3 {
            rules.add(FaultRule::new("refuse"), 0).unwrap();
        }
        assert_eq!((rules.remove(Some(2)), rules.remove(Some(2)), rules.all().len()), (1, 0, 2));
        rules.pick(|| None);
        assert_eq!(rules.all()[0].seen, 1);
        rules.rewind();
        assert_eq!(rules.all()[0].seen, 0);
        assert_eq!((rules.remove(None), rules.all().len()), (2, 0));
        // Ids are not given twice.
        assert_eq!(rules.add(FaultRule::new("refuse"), 0).unwrap().id, 4);
    }
}
