//! Fields that the documents want encrypted (敏感信息), as their schemas mark them (P13).

use crate::check::{Violation, ViolationKind};
use crate::crypto::{CipherError, Decryptor, Encryptor, VerifyingKey};
use crate::trust::Verifier;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::sync::Arc;
use wechatpay_model::operation::Shape;

/// The key that fields are encrypted with; its serial must be announced in `Wechatpay-Serial`.
pub(crate) struct Envelope {
    pub(crate) serial: String,
    key: Arc<dyn VerifyingKey>,
}

impl Envelope {
    /// The key that the verifier prefers, if it has one that encrypts.
    pub(crate) fn of(verifier: &dyn Verifier) -> Option<Self> {
        let serial = verifier.preferred()?;
        let key = verifier.key(&serial)?;
        key.encryptor().is_some().then_some(Self { serial, key })
    }
}

/// Whether anything of this form travels encrypted.
pub(crate) fn is_marked(shape: &Shape) -> bool {
    match shape {
        Shape::Object(fields) => fields.iter().any(|field| field.sensitive() || is_marked(field.shape())),
        Shape::Array { items, .. } => is_marked(items),
        _ => false,
    }
}

/// Encrypts the marked fields where they stand. The limits have been checked on the plain text.
pub(crate) fn seal(shape: &Shape, value: &mut Value, envelope: Option<&Envelope>, violations: &mut Vec<Violation>) {
    let encryptor = envelope.and_then(|envelope| envelope.key.encryptor());
    Seal { encryptor, pointer: String::new(), violations }.walk(shape, value);
}

/// Decrypts the texts at these places of an answer where they stand. What is absent or empty is passed over, and so is
/// what is no text, for the type of the answer to refuse.
///
/// # Errors
/// The place, and why its text does not open.
pub(crate) fn open(
    places: &[&str],
    answer: &mut Value,
    decryptor: Option<&dyn Decryptor>,
) -> Result<(), (String, CipherError)> {
    for place in places {
        let path: Vec<_> = place.split('/').skip(1).collect();
        open_at(&path, answer, &mut String::new(), decryptor)?;
    }
    Ok(())
}

fn open_at(
    path: &[&str],
    value: &mut Value,
    pointer: &mut String,
    decryptor: Option<&dyn Decryptor>,
) -> Result<(), (String, CipherError)> {
    let fail = |error| (pointer.clone(), error);
    let len = pointer.len();
    match (path.split_first(), value) {
        (None, Value::String(text)) if !text.is_empty() => {
            let decryptor = decryptor.ok_or(CipherError::NoKey).map_err(fail)?;
            let sealed = STANDARD.decode(&*text).map_err(|_| fail(CipherError::Refused))?;
            let plain = decryptor.decrypt(&sealed).map_err(fail)?;
            *text = std::str::from_utf8(&plain).map_err(|_| fail(CipherError::Refused))?.to_owned();
        }
        (Some((&"*", rest)), Value::Array(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                pointer.push_str(&format!("/{index}"));
                open_at(rest, item, pointer, decryptor)?;
                pointer.truncate(len);
            }
        }
        (Some((name, rest)), Value::Object(fields)) => {
            if let Some(field) = fields.get_mut(*name) {
                pointer.push('/');
                pointer.push_str(name);
                open_at(rest, field, pointer, decryptor)?;
                pointer.truncate(len);
            }
        }
        _ => {}
    }
    Ok(())
}

struct Seal<'a> {
    encryptor: Option<&'a dyn Encryptor>,
    pointer: String,
    violations: &'a mut Vec<Violation>,
}

impl Seal<'_> {
    fn walk(&mut self, shape: &Shape, value: &mut Value) {
        let len = self.pointer.len();
        match (shape, value) {
            (Shape::Object(fields), Value::Object(map)) => {
                for field in *fields {
                    let Some(value) = map.get_mut(field.name()) else { continue };
                    self.pointer.push('/');
                    self.pointer.push_str(field.name());
                    match value {
                        Value::String(text) if field.sensitive() => self.encrypt(text),
                        value => self.walk(field.shape(), value),
                    }
                    self.pointer.truncate(len);
                }
            }
            (Shape::Array { items, .. }, Value::Array(values)) => {
                for (index, value) in values.iter_mut().enumerate() {
                    self.pointer.push_str(&format!("/{index}"));
                    self.walk(items, value);
                    self.pointer.truncate(len);
                }
            }
            _ => {}
        }
    }

    fn encrypt(&mut self, text: &mut String) {
        let problem = match self.encryptor.map(|key| key.encrypt(text.as_bytes())) {
            Some(Ok(sealed)) => {
                *text = STANDARD.encode(sealed);
                return;
            }
            Some(Err(error)) => error.to_string(),
            None => "there is no public key or certificate of WeChat Pay to encrypt it with".to_owned(),
        };
        let message = format!("travels encrypted: {problem}");
        self.violations.push(Violation { pointer: self.pointer.clone(), kind: ViolationKind::Format, message });
    }
}

#[cfg(test)]
#[cfg(feature = "aws-lc-rs")]
mod tests {
    use super::*;
    use crate::Trust;
    use crate::crypto::{Decryptor, aws_lc};
    use serde_json::json;
    use wechatpay_model::operation::{Field, Text};

    /// A schema of its own: no coupon operation has a sensitive field.
    static SHAPE: Shape = Shape::Object(&[
        Field::new("name", &Shape::Text(Text::ANY)).encrypted(),
        Field::new("note", &Shape::Text(Text::ANY)),
        Field::new("receivers", &Shape::Array { items: &RECEIVER, min: 0, max: None }),
    ]);
    static RECEIVER: Shape = Shape::Object(&[Field::new("id_card", &Shape::Text(Text::ANY)).encrypted()]);
    static PLAIN: Shape = Shape::Object(&[Field::new("note", &Shape::Text(Text::ANY))]);

    fn envelope() -> Envelope {
        let key = aws_lc::VerifyingKey::from_public_key_pem(include_str!("../tests/fixtures/crypto/rsa2048.pub.pem"));
        Envelope::of(&Trust::new().with_public_key("PUB_KEY_ID_1", key.unwrap())).unwrap()
    }

    #[test]
    fn p13_marked_fields_travel_encrypted_and_open_with_the_private_key() {
        let key = aws_lc::DecryptingKey::from_pem(include_str!("../tests/fixtures/crypto/rsa2048.key.pem")).unwrap();
        let open = |text: &Value| {
            let sealed = STANDARD.decode(text.as_str().unwrap()).unwrap();
            String::from_utf8(key.decrypt(&sealed).unwrap().to_vec()).unwrap()
        };
        let mut value = json!({"name": "张三", "note": "n", "receivers": [{"id_card": "1"}, {"id_card": "2"}, {}]});
        let mut violations = Vec::new();
        seal(&SHAPE, &mut value, Some(&envelope()), &mut violations);
        assert_eq!(violations, []);
        assert_eq!(value["note"], "n");
        assert_eq!(
            (open(&value["name"]), open(&value["receivers"][1]["id_card"])),
            ("张三".to_owned(), "2".to_owned())
        );
        assert_eq!(envelope().serial, "PUB_KEY_ID_1");
        assert!(is_marked(&SHAPE) && !is_marked(&PLAIN));
    }

    #[test]
    fn p13_what_cannot_be_encrypted_is_not_sent() {
        let mut violations = Vec::new();
        seal(&SHAPE, &mut json!({"receivers": [{"id_card": "1"}]}), None, &mut violations);
        assert_eq!(violations.len(), 1);
        assert_eq!(violations[0].pointer, "/receivers/0/id_card");
        let long = "x".repeat(300);
        seal(&SHAPE, &mut json!({ "name": long }), Some(&envelope()), &mut violations);
        assert_eq!(violations[1].pointer, "/name");
        assert!(!violations[1].message.contains("xx"), "{}", violations[1]);
    }
}
