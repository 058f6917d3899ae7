//! Names and folders: as programs see them, as the disk has them, and what is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex};

use rand::Rng;
use rand::rngs::StdRng;

use super::content::Content;

pub(super) type File = Arc<Mutex<Content>>;
type NodeId = usize;
/// The file system is mounted here; names in it are durable at once.
const ROOT: NodeId = 0;

#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    /// Oldest first.
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Node {
    Dir(Dir),
    File(File),
}

#[derive(Debug, Default, Clone)]
struct Dir {
    names: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
}

/// What happens at once or not at all: a rename has two effects.
type Change = Vec<Effect>;

/// From now on a name in a folder stands for this, or for nothing.
#[derive(Debug, Clone)]
struct Effect {
    dir: NodeId,
    name: String,
    node: Option<NodeId>,
}

impl Default for Tree {
    fn default() -> Self {
        Tree {
            nodes: vec![Node::Dir(Dir::default())],
            unsynced: Vec::new(),
        }
    }
}

impl Tree {
    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        let mut dir = ROOT;
        for name in names(path) {
            dir = match self.child(dir, &name)? {
                Some(found) => found,
                None => self.make(dir, name, Node::Dir(Dir::default())),
            };
        }
        self.dir(dir).map(|_| ())
    }

    /// In the order in which they were made, which does not depend on names that are drawn.
    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut found: Vec<_> = self.dir(self.find(path)?)?.names.iter().collect();
        found.sort_by_key(|(_, node)| **node);
        Ok(found.into_iter().map(|(name, _)| name.clone()).collect())
    }

    pub(super) fn open(&mut self, path: &Path, make: bool) -> io::Result<File> {
        let (dir, name) = self.place(path)?;
        let node = match self.child(dir, &name)? {
            Some(node) => node,
            None if make => self.make(dir, name, Node::File(File::default())),
            None => return Err(missing()),
        };
        match &self.nodes[node] {
            Node::File(file) => Ok(file.clone()),
            Node::Dir(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from, old), (to, new)) = (self.place(from)?, self.place(to)?);
        let node = self.child(from, &old)?.ok_or_else(missing)?;
        let replaced = self.child(to, &new)?.map(|node| &self.nodes[node]);
        match (&self.nodes[node], replaced) {
            (_, None) | (Node::File(_), Some(Node::File(_))) => {}
            (Node::Dir(_), Some(Node::Dir(dir))) if dir.names.is_empty() => {}
            (_, Some(Node::Dir(_))) => return Err(io::ErrorKind::DirectoryNotEmpty.into()),
            (Node::Dir(_), Some(Node::File(_))) => {
                return Err(io::ErrorKind::NotADirectory.into());
            }
        }
        let gone = Effect {
            dir: from,
            name: old,
            node: None,
        };
        let there = Effect {
            dir: to,
            name: new,
            node: Some(node),
        };
        self.change(vec![gone, there]);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.place(path)?;
        let node = self.child(dir, &name)?.ok_or_else(missing)?;
        match &self.nodes[node] {
            Node::File(_) => self.remove(dir, name),
            Node::Dir(_) => return Err(io::ErrorKind::IsADirectory.into()),
        }
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.place(path)?;
        let node = self.child(dir, &name)?.ok_or_else(missing)?;
        for child in self.list(path)? {
            let path = path.join(child);
            match self.remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                    self.remove_dir(&path)?
                }
                removed => removed?,
            }
        }
        self.dir(node)?;
        self.remove(dir, name);
        Ok(())
    }

    /// All that happened in a folder so far is durable, with what it hangs together with: a
    /// rename from another folder, and what happened there before it.
    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let mut synced = BTreeSet::from([self.find(path)?]);
        let changes = std::mem::take(&mut self.unsynced);
        let mut durable = Vec::new();
        for change in changes.into_iter().rev() {
            if change.iter().any(|effect| synced.contains(&effect.dir)) {
                synced.extend(change.iter().map(|effect| effect.dir));
                durable.push(change);
            } else {
                self.unsynced.push(change);
            }
        }
        self.unsynced.reverse();
        durable
            .into_iter()
            .rev()
            .for_each(|change| self.settle(change));
        Ok(())
    }

    /// The same again, with files of its own.
    pub(super) fn copy(&self) -> Tree {
        let nodes = self.nodes.iter().map(|node| match node {
            Node::Dir(dir) => Node::Dir(dir.clone()),
            Node::File(file) => Node::File(Arc::new(Mutex::new(file.lock().unwrap().clone()))),
        });
        Tree {
            nodes: nodes.collect(),
            unsynced: self.unsynced.clone(),
        }
    }

    /// What is found after a power loss; `content` says what of each file.
    pub(super) fn after_loss(&self, content: &mut dyn FnMut(&Content) -> Vec<u8>) -> Tree {
        let mut after = Tree::default();
        self.copy_durable(ROOT, ROOT, &mut after, content);
        after
    }

    fn copy_durable(
        &self,
        from: NodeId,
        to: NodeId,
        after: &mut Tree,
        content: &mut dyn FnMut(&Content) -> Vec<u8>,
    ) {
        let Node::Dir(dir) = &self.nodes[from] else {
            return;
        };
        for (name, node) in &dir.durable {
            let copy = match &self.nodes[*node] {
                Node::Dir(_) => Node::Dir(Dir::default()),
                Node::File(file) => {
                    let bytes = content(&file.lock().unwrap());
                    Node::File(Arc::new(Mutex::new(Content::settled(bytes))))
                }
            };
            let made = after.nodes.len();
            after.nodes.push(copy);
            if let Node::Dir(dir) = &mut after.nodes[to] {
                dir.names.insert(name.clone(), made);
                dir.durable.insert(name.clone(), made);
            }
            self.copy_durable(*node, made, after, content);
        }
    }

    /// Some of what is under way gets to the disk by itself: of each folder a beginning, or of
    /// each name a beginning.
    pub(super) fn settle_by_chance(&mut self, rng: &mut StdRng) {
        let by_name = rng.random_ratio(1, 4);
        let stop = match rng.random_range(0..4) {
            0 => return,
            1 => 0.0,
            _ => rng.random_range(0.05..0.8),
        };
        let mut stuck = BTreeSet::new();
        for change in std::mem::take(&mut self.unsynced) {
            let keys = change
                .iter()
                .map(|effect| (effect.dir, by_name.then(|| effect.name.clone())));
            let keys: Vec<_> = keys.collect();
            if keys.iter().any(|key| stuck.contains(key)) || rng.random_bool(stop) {
                stuck.extend(keys);
            } else {
                self.settle(change);
            }
        }
    }

    fn make(&mut self, dir: NodeId, name: String, node: Node) -> NodeId {
        self.nodes.push(node);
        let node = self.nodes.len() - 1;
        self.change(vec![Effect {
            dir,
            name,
            node: Some(node),
        }]);
        node
    }

    fn remove(&mut self, dir: NodeId, name: String) {
        self.change(vec![Effect {
            dir,
            name,
            node: None,
        }]);
    }

    fn change(&mut self, change: Change) {
        for effect in &change {
            if let Node::Dir(dir) = &mut self.nodes[effect.dir] {
                effect.apply(&mut dir.names);
            }
        }
        if change.iter().all(|effect| effect.dir == ROOT) {
            self.settle(change);
        } else {
            self.unsynced.push(change);
        }
    }

    fn settle(&mut self, change: Change) {
        for effect in change {
            if let Node::Dir(dir) = &mut self.nodes[effect.dir] {
                effect.apply(&mut dir.durable);
            }
        }
    }

    fn dir(&self, node: NodeId) -> io::Result<&Dir> {
        match &self.nodes[node] {
            Node::Dir(dir) => Ok(dir),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn child(&self, dir: NodeId, name: &str) -> io::Result<Option<NodeId>> {
        Ok(self.dir(dir)?.names.get(name).copied())
    }

    fn find(&self, path: &Path) -> io::Result<NodeId> {
        let mut node = ROOT;
        for name in names(path) {
            node = self.child(node, &name)?.ok_or_else(missing)?;
        }
        Ok(node)
    }

    /// The folder that holds a name, and the name.
    fn place(&self, path: &Path) -> io::Result<(NodeId, String)> {
        let name = names(path).pop().ok_or(io::ErrorKind::InvalidInput)?;
        let dir = self.find(path.parent().unwrap_or(Path::new("")))?;
        Ok((dir, name))
    }
}

impl Effect {
    fn apply(&self, names: &mut BTreeMap<String, NodeId>) {
        match self.node {
            Some(node) => names.insert(self.name.clone(), node),
            None => names.remove(&self.name),
        };
    }
}

fn names(path: &Path) -> Vec<String> {
    let names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    names.collect()
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}
