package qpgaze

import groovy.transform.CompileStatic
import qupath.lib.objects.PathObject
import qupath.lib.objects.hierarchy.PathObjectHierarchy

/**
 * Objects that come, go and take the place of others in an open image, all together or not at all.
 *
 * QuPath's own addObjects and removeObjects put everything below the root; here an object that takes
 * another's place keeps what lies above and below it, and what lay under one that goes moves up.
 */
@CompileStatic
final class Exchange {

    final List<PathObject> put = []
    /** What goes, and what comes in its place. */
    final Map<PathObject, PathObject> swapped = new IdentityHashMap<>()
    final Set<PathObject> removed = Collections.newSetFromMap(new IdentityHashMap<PathObject, Boolean>())
    private final Map<UUID, PathObject> replacing = new LinkedHashMap<>()
    private final Set<UUID> removing = new LinkedHashSet<>()
    private final Map<UUID, PathObject> putById = new LinkedHashMap<>()
    private final Map<UUID, UUID> parents = new HashMap<>()
    private final Map<PathObject, PathObject> before = new IdentityHashMap<>()

    /** Read what is to come; nothing is touched yet. A WireFault where it cannot be read. */
    Exchange(List<Map> put, List<Map> replace, List<String> remove) {
        for (Map feature : put) {
            PathObject object = made(feature)
            this.put.add(object)
            named(putById.put(object.getID(), object), object.getID())
            if (feature.get("parent") != null)
                parents.put(object.getID(), UUID.fromString((String) feature.get("parent")))
        }
        for (Map feature : replace) {
            PathObject object = made(feature)
            named(replacing.put(object.getID(), object) ?: putById.get(object.getID()), object.getID())
        }
        for (String text : remove) {
            UUID id = UUID.fromString(text)
            named(!removing.add(id) || replacing.containsKey(id) || putById.containsKey(id) ? id : null, id)
        }
    }

    /** With what painting asks of its shape known already, which would else be worked out on the JavaFX thread. */
    private static PathObject made(Map feature) {
        PathObject object = Features.read(feature)
        object.getROI().getArea()
        object.getROI().getCentroidX()
        return object
    }

    private static void named(Object twice, UUID id) {
        if (twice != null)
            throw new WireFault("conflict", "The change names object ${id} twice; nothing was changed.")
    }

    /** Everything that is new to the image. */
    List<PathObject> getFresh() {
        return put + new ArrayList<PathObject>(replacing.values())
    }

    /** Do it, with the hierarchy's lock held, and tell everyone once. */
    void make(PathObjectHierarchy hierarchy) {
        if (!put && !replacing && !removing)
            return
        Map<UUID, PathObject> there = new HashMap<>()
        for (PathObject one : hierarchy.getAllObjects(false))
            there.put(one.getID(), one)
        check(there)
        Map<PathObject, List<PathObject>> coming = plan(there, hierarchy.getRootObject())
        try {
            apply(coming)
            hierarchy.fireHierarchyChangedEvent(this)
        } catch (RuntimeException e) {
            undo()
            hierarchy.fireHierarchyChangedEvent(this)
            throw new WireFault("failed", "QuPath refused the change: ${e.message}; nothing was changed.")
        }
    }

    private void check(Map<UUID, PathObject> there) {
        for (UUID id : putById.keySet())
            if (there.containsKey(id))
                throw new WireFault("conflict", "The image has object ${id} already; nothing was changed.")
        for (UUID id : replacing.keySet() + removing)
            if (!there.containsKey(id))
                throw new WireFault("conflict", "The image has no object ${id}; nothing was changed.")
        for (UUID id : parents.values())
            if (!putById.containsKey(id) && (!there.containsKey(id) || removing.contains(id)))
                throw new WireFault("conflict",
                    "The image has no object ${id}, under which others are to lie; nothing was changed.")
        for (UUID id : parents.keySet()) {
            int steps = 0
            for (UUID above = id; above != null; above = parents.get(above))
                if (++steps > parents.size() + 1)
                    throw new WireFault("malformed", "Object ${id} lies under itself; nothing was changed.")
        }
    }

    /** What comes to lie under what; each object that lies elsewhere afterwards is remembered. */
    private Map<PathObject, List<PathObject>> plan(Map<UUID, PathObject> there, PathObject root) {
        for (Map.Entry<UUID, PathObject> one : replacing.entrySet())
            swapped.put(there.get(one.key), one.value)
        for (UUID id : removing)
            removed.add(there.get(id))
        Map<PathObject, List<PathObject>> coming = new IdentityHashMap<>()
        List<PathObject> going = swapped.keySet() + removed as List<PathObject>
        for (PathObject old : going) {
            before.put(old, old.getParent())
            for (PathObject child : old.getChildObjectsAsArray())
                if (!swapped.containsKey(child) && !removed.contains(child)) {
                    before.put(child, old)
                    below(coming, above(old, root)).add(child)
                }
        }
        for (Map.Entry<PathObject, PathObject> one : swapped.entrySet())
            below(coming, above(one.key.getParent(), root)).add(one.value)
        for (PathObject object : put) {
            UUID parent = parents.get(object.getID())
            PathObject over = parent == null ? root : putById.get(parent) ?: above(there.get(parent), root)
            below(coming, over).add(object)
        }
        return coming
    }

    private static List<PathObject> below(Map<PathObject, List<PathObject>> coming, PathObject parent) {
        return coming.computeIfAbsent(parent) { new ArrayList<PathObject>() }
    }

    /** What lies in this place afterwards. */
    private PathObject above(PathObject place, PathObject root) {
        PathObject one = place
        while (one != null && removed.contains(one))
            one = one.getParent()
        return one == null ? root : swapped.get(one) ?: one
    }

    private void apply(Map<PathObject, List<PathObject>> coming) {
        Map<PathObject, List<PathObject>> leaving = new IdentityHashMap<>()
        for (Map.Entry<PathObject, PathObject> one : before.entrySet())
            below(leaving, one.value).add(one.key)
        for (Map.Entry<PathObject, List<PathObject>> one : leaving.entrySet())
            one.key.removeChildObjects(one.value)
        for (Map.Entry<PathObject, List<PathObject>> one : coming.entrySet())
            one.key.addChildObjects(one.value)
    }

    private void undo() {
        for (PathObject object : fresh)
            object.getParent()?.removeChildObjects([object])
        for (Map.Entry<PathObject, PathObject> one : before.entrySet()) {
            one.key.getParent()?.removeChildObjects([one.key])
            one.value.addChildObject(one.key)
        }
    }
}
