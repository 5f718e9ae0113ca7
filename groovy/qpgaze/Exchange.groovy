package qpgaze

import groovy.transform.CompileStatic
import qupath.lib.objects.PathObject
import qupath.lib.objects.hierarchy.PathObjectHierarchy
import qupath.lib.roi.interfaces.ROI

/**
 * Objects that come, go and take the place of others in an open image, all together or not at all.
 *
 * QuPath's own addObjects and removeObjects put everything below the root; here an object that takes
 * another's place keeps what lies above and below it, and what lay under one that goes moves up.
 */
@CompileStatic
final class Exchange {

    /** An object that is to come, and under what where the change says so; null is the root. */
    static final class Coming {
        final PathObject object
        final boolean placed
        final UUID parent

        /** Read it, with what painting asks of its shape, which would else be worked out on the JavaFX thread. */
        Coming(Map feature) {
            object = Features.read(feature)
            ROI roi = object.getROI()
            roi.getArea()
            roi.getCentroidX()
            if (roi.isArea())
                roi.getShape()
            String above = (String) feature.get("parent")
            placed = feature.containsKey("parent")
            parent = above == null ? null : UUID.fromString(above)
        }
    }

    final List<PathObject> put = []
    /** What goes, and what comes in its place. */
    final Map<PathObject, PathObject> swapped = new IdentityHashMap<>()
    final Set<PathObject> removed = Collections.newSetFromMap(new IdentityHashMap<PathObject, Boolean>())
    private final Map<UUID, PathObject> replacing = new LinkedHashMap<>()
    private final Set<UUID> removing = new LinkedHashSet<>()
    private final Map<UUID, PathObject> putById = new LinkedHashMap<>()
    /** Under what each is to lie where the change says so. */
    private final Map<UUID, UUID> parents = new HashMap<>()
    private final Map<PathObject, PathObject> before = new IdentityHashMap<>()

    /** Nothing is touched yet. A WireFault where the change names an object twice. */
    Exchange(List<Coming> put, List<Coming> replace, List<String> remove) {
        for (Coming one : put) {
            UUID id = one.object.getID()
            this.put.add(one.object)
            named(putById.put(id, one.object), id)
            place(one)
        }
        for (Coming one : replace) {
            UUID id = one.object.getID()
            named(replacing.put(id, one.object) ?: putById.get(id), id)
            place(one)
        }
        for (String text : remove) {
            UUID id = UUID.fromString(text)
            named(!removing.add(id) || replacing.containsKey(id) || putById.containsKey(id) ? id : null, id)
        }
    }

    /** What is replaced stays under its parent, unless the change names another. */
    private void place(Coming one) {
        if (one.placed)
            parents.put(one.object.getID(), one.parent)
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
            if (id != null && !putById.containsKey(id) && (!there.containsKey(id) || removing.contains(id)))
                throw new WireFault("conflict",
                    "The image has no object ${id}, under which others are to lie; nothing was changed.")
        for (UUID id : parents.keySet())
            requireRoot(id, there)
    }

    /** An object that came to lie under itself would be in the image no more. */
    private void requireRoot(UUID id, Map<UUID, PathObject> there) {
        Set<UUID> passed = new HashSet<>()
        for (UUID one = id; one != null; one = parents.containsKey(one) ? parents.get(one) : parentOf(there.get(one)))
            if (!passed.add(one))
                throw new WireFault("malformed", "Object ${id} lies under itself; nothing was changed.")
    }

    private static UUID parentOf(PathObject object) {
        PathObject parent = object?.getParent()
        return parent == null || parent.isRootObject() ? null : parent.getID()
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
        for (Map.Entry<PathObject, PathObject> one : swapped.entrySet()) {
            boolean moved = parents.containsKey(one.value.getID())
            below(coming, moved ? over(one.value, there, root) : above(one.key.getParent(), root)).add(one.value)
        }
        for (PathObject object : put)
            below(coming, over(object, there, root)).add(object)
        return coming
    }

    /** Under what an object is to lie, by the change's own word. */
    private PathObject over(PathObject object, Map<UUID, PathObject> there, PathObject root) {
        UUID parent = parents.get(object.getID())
        return parent == null ? root : putById.get(parent) ?: above(there.get(parent), root)
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
