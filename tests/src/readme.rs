//! The Rust of the READMEs compiles, and what can run does. The README in Chinese has the commands of the one in English.

#[doc = include_str!("../../README.md")]
struct _Workspace;

#[doc = include_str!("../../README.zh-CN.md")]
struct _WorkspaceInChinese;

#[doc = include_str!("../../crates/wechatpay-model/README.md")]
struct _Model;

#[doc = include_str!("../../crates/wechatpay-protocol/README.md")]
struct _Protocol;

#[doc = include_str!("../../crates/wechatpay-reqwest/README.md")]
struct _Reqwest;

#[doc = include_str!("../../crates/wechatpay-hyper/README.md")]
struct _Hyper;

#[cfg(test)]
mod tests {
    const ENGLISH: &str = include_str!("../../README.md");
    const CHINESE: &str = include_str!("../../README.zh-CN.md");

    /// The lines of all code blocks, fences included, without comments: those are in the language of the file.
    fn code(text: &str) -> Vec<&str> {
        let mut open = false;
        let lines = text.lines().filter(|line| {
            let fence = line.starts_with("```");
            open ^= fence;
            open || fence
        });
        lines.map(without_comment).collect()
    }

    /// A comment begins with `#` or `//` at the beginning of a line or behind white space.
    fn without_comment(line: &str) -> &str {
        let begins = |at: &usize| line.get(..*at).is_some_and(|before| before.is_empty() || before.ends_with(' '));
        let marks = line.match_indices('#').chain(line.match_indices("//")).map(|(at, _)| at);
        marks.filter(begins).min().and_then(|at| line.get(..at)).unwrap_or(line).trim_end()
    }

    /// What the text links to, beside the other language, each once.
    fn links(text: &str) -> std::collections::BTreeSet<&str> {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        targets.filter(|target| !target.starts_with("README")).collect()
    }

    fn headings(text: &str) -> Vec<usize> {
        text.split("\n#").skip(1).map(|rest| rest.chars().take_while(|mark| *mark == '#').count()).collect()
    }

    #[test]
    fn both_languages_say_the_same() {
        assert_eq!(code(ENGLISH), code(CHINESE), "code blocks of README.md and README.zh-CN.md");
        assert_eq!(links(ENGLISH), links(CHINESE), "links of README.md and README.zh-CN.md");
        assert_eq!(headings(ENGLISH), headings(CHINESE), "headings of README.md and README.zh-CN.md");
        assert!(code(ENGLISH).len() > 60);
    }

    #[test]
    fn comments_are_found() {
        assert_eq!(without_comment("a --to http://b/#c    # d"), "a --to http://b/#c");
        assert_eq!((without_comment("    // x"), without_comment("# x"), without_comment("a")), ("", "", "a"));
    }
}
