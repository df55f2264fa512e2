//! The objects of the bucket, and what a request does with them.

use super::http::{Request, Response};
use super::{BUCKET, KEY_ID};
use std::collections::BTreeMap;
use std::collections::btree_map::Keys;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Keys of one page of a listing: few, so that tests see pages.
const PAGE: usize = 10;
/// Parts but the last are at least as large (5 MiB).
const PART_BYTES_MIN: usize = 5 << 20;
const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// What is in the bucket.
#[derive(Default)]
pub struct Objects {
    objects: BTreeMap<String, Vec<u8>>,
    /// Uploads in parts: key, and parts by number.
    uploads: BTreeMap<String, (String, BTreeMap<usize, Vec<u8>>)>,
    uploads_begun: usize,
    pub ignore_conditions: bool,
}

impl Objects {
    pub fn keys(&self) -> Keys<'_, String, Vec<u8>> {
        self.objects.keys()
    }

    pub fn insert(&mut self, key: &str, bytes: Vec<u8>) {
        self.objects.insert(key.to_owned(), bytes);
    }

    pub fn uploads(&self) -> usize {
        self.uploads.len()
    }

    /// Does what a request asks for.
    pub fn answer(&mut self, request: &Request) -> Response {
        let signer = format!("AWS4-HMAC-SHA256 Credential={KEY_ID}/");
        if !request.header("authorization").is_some_and(|a| a.starts_with(&signer) && a.contains("Signature=")) {
            return Response::error(403, "InvalidAccessKeyId");
        }
        if request.bucket != BUCKET {
            return Response::error(404, "NoSuchBucket");
        }
        let asks = |name: &str| request.query.contains_key(name);
        match (request.method.as_str(), request.key.is_empty()) {
            ("GET", true) if asks("list-type") => self.list(request),
            ("POST", true) if asks("delete") => self.delete_all(&request.body),
            ("GET" | "HEAD", false) => self.get(request),
            ("PUT", false) if asks("partNumber") => self.put_part(request),
            ("PUT", false) => self.put(request),
            ("DELETE", false) if asks("uploadId") => {
                self.uploads.remove(&request.query["uploadId"]);
                Response::new(204, "")
            }
            ("DELETE", false) => {
                self.objects.remove(&request.key);
                Response::new(204, "")
            }
            ("POST", false) if asks("uploads") => self.begin(&request.key),
            ("POST", false) if asks("uploadId") => self.complete(request),
            _ => Response::error(501, "NotImplemented"),
        }
    }

    fn put(&mut self, request: &Request) -> Response {
        let only_if_absent = request.header("if-none-match") == Some("*") && !self.ignore_conditions;
        if only_if_absent && self.objects.contains_key(&request.key) {
            return Response::error(412, "PreconditionFailed");
        }
        self.insert(&request.key, request.body.clone());
        Response::new(200, "").with("etag", e_tag(&request.body))
    }

    fn get(&self, request: &Request) -> Response {
        let Some(whole) = self.objects.get(&request.key) else { return Response::error(404, "NoSuchKey") };
        let tag = e_tag(whole);
        if request.header("if-match").is_some_and(|wanted| wanted != tag) {
            return Response::error(412, "PreconditionFailed");
        }
        let answered = |response: Response| response.with("etag", tag.clone()).with("last-modified", DATE);
        let Some(range) = request.header("range") else { return answered(Response::new(200, whole.clone())) };
        let bounds = range.strip_prefix("bytes=").and_then(|r| r.split_once('-'));
        let bounds = bounds.and_then(|(a, b)| Some((a.parse::<usize>().ok()?, b.parse::<usize>().ok()?)));
        match bounds {
            Some((first, last)) if first < whole.len() && first <= last => {
                let last = last.min(whole.len() - 1);
                let place = format!("bytes {first}-{last}/{}", whole.len());
                answered(Response::new(206, &whole[first..=last])).with("content-range", place)
            }
            _ => Response::error(416, "InvalidRange"),
        }
    }

    fn list(&self, request: &Request) -> Response {
        let asked = |name: &str| request.query.get(name).map_or("", String::as_str);
        let (prefix, after, delimiter) = (asked("prefix"), asked("continuation-token"), asked("delimiter"));
        let (mut found, mut folders, mut last) = (String::new(), Vec::new(), "");
        let mut keys =
            self.objects.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after).peekable();
        for (key, bytes) in keys.by_ref().take(PAGE) {
            last = key;
            match key[prefix.len()..].split_once(delimiter).filter(|_| !delimiter.is_empty()) {
                Some((folder, _)) => folders.push(format!("{prefix}{folder}{delimiter}")),
                None => {
                    let (size, tag) = (bytes.len(), e_tag(bytes).replace('"', "&quot;"));
                    found += &format!(
                        "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{tag}</ETag>\
                         <Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
                    );
                }
            }
        }
        folders.dedup();
        folders.iter().for_each(|f| found += &format!("<CommonPrefixes><Prefix>{f}</Prefix></CommonPrefixes>"));
        let more = keys.peek().is_some();
        let token = if more { format!("<NextContinuationToken>{last}</NextContinuationToken>") } else { String::new() };
        Response::xml(&format!(
            "<ListBucketResult><Name>{BUCKET}</Name><Prefix>{prefix}</Prefix><MaxKeys>{PAGE}</MaxKeys>\
             <IsTruncated>{more}</IsTruncated>{token}{found}</ListBucketResult>"
        ))
    }

    fn delete_all(&mut self, body: &[u8]) -> Response {
        let mut deleted = String::new();
        for key in elements(&String::from_utf8_lossy(body), "Key") {
            self.objects.remove(&key);
            deleted += &format!("<Deleted><Key>{key}</Key></Deleted>");
        }
        Response::xml(&format!("<DeleteResult>{deleted}</DeleteResult>"))
    }

    fn begin(&mut self, key: &str) -> Response {
        self.uploads_begun += 1;
        let id = format!("upload-{}", self.uploads_begun);
        self.uploads.insert(id.clone(), (key.to_owned(), BTreeMap::new()));
        Response::xml(&format!(
            "<InitiateMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>\
             </InitiateMultipartUploadResult>"
        ))
    }

    fn put_part(&mut self, request: &Request) -> Response {
        let number = request.query["partNumber"].parse().ok().filter(|n| (1..=10_000).contains(n));
        let upload = request.query.get("uploadId").and_then(|id| self.uploads.get_mut(id));
        match (upload, number) {
            (Some((key, parts)), Some(number)) if *key == request.key => {
                parts.insert(number, request.body.clone());
                Response::new(200, "").with("etag", e_tag(&request.body))
            }
            (Some(_), _) => Response::error(400, "InvalidArgument"),
            (None, _) => Response::error(404, "NoSuchUpload"),
        }
    }

    fn complete(&mut self, request: &Request) -> Response {
        let Some((_, parts)) = self.uploads.get(&request.query["uploadId"]) else {
            return Response::error(404, "NoSuchUpload");
        };
        let text = String::from_utf8_lossy(&request.body).replace("&quot;", "\"");
        let numbers = elements(&text, "PartNumber").into_iter().filter_map(|n| n.parse::<usize>().ok());
        let listed: Vec<(usize, String)> = numbers.zip(elements(&text, "ETag")).collect();
        let mut whole = Vec::new();
        for (i, (number, tag)) in listed.iter().enumerate() {
            match parts.get(number) {
                Some(part) if e_tag(part) == *tag => {
                    if part.len() < PART_BYTES_MIN && i + 1 < listed.len() {
                        return Response::error(400, "EntityTooSmall");
                    }
                    whole.extend_from_slice(part);
                }
                _ => return Response::error(400, "InvalidPart"),
            }
        }
        if listed.is_empty() || !listed.is_sorted_by(|a, b| a.0 < b.0) {
            return Response::error(400, "InvalidPartOrder");
        }
        let tag = e_tag(&whole).replace('"', "&quot;");
        self.insert(&request.key, whole);
        self.uploads.remove(&request.query["uploadId"]);
        Response::xml(&format!(
            "<CompleteMultipartUploadResult><Bucket>{BUCKET}</Bucket><Key>{}</Key><ETag>{tag}</ETag>\
             </CompleteMultipartUploadResult>",
            request.key
        ))
    }
}

fn e_tag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}

/// The texts of all elements of a name.
fn elements(text: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let inside = |t: &str| t.split_once(&close).map(|(inside, _)| inside.to_owned());
    text.split(&open).skip(1).filter_map(inside).collect()
}
