package qpgaze

import com.google.gson.JsonObject
import qupath.lib.io.GsonTools
import qupath.lib.objects.PathObject

/**
 * Objects of an open image, as GeoJSON Features: read, put, replaced, removed, saved.
 *
 * Shapes, classes, measurements and ids go through QuPath's own GeoJSON, so that they are what the
 * store writes. None of it runs on the JavaFX thread, as none of a script's does: the window stays free.
 */
final class Objects {

    private static final int PAGE_BYTES = 1 << 19

    private final Images images

    Objects(Images images) {
        this.images = images
    }

    /** A page of an image's objects, each once and without the objects under it. */
    Map<String, Object> page(Map<String, Object> request) {
        def image = images.withKey(request.image as String)
        long revision = image.revision.get()
        def every = image.data.getHierarchy().getAllObjects(false).toList()
        // In the order of ids, for the next page is cut from a list made anew.
        every.sort { PathObject it -> it.getID() }
        int start = Math.min((request.start ?: 0) as int, every.size())
        def found = []
        long size = 0
        for (PathObject object : every.subList(start, every.size())) {
            def feature = feature(object)
            size += Json.text(feature).length()
            if (found && size > PAGE_BYTES)
                break
            found << feature
        }
        int end = start + found.size()
        return [objects: found, next: end < every.size() ? end : null, total: every.size(), revision: revision]
    }

    private static Map<String, Object> feature(PathObject object) {
        def text = GsonTools.getInstance().toJson(object, PathObject)
        def feature = Json.parse(text) as Map<String, Object>
        feature.id = object.getID().toString()
        if (!feature.containsKey("geometry"))
            feature.geometry = null
        if (!feature.containsKey("properties"))
            feature.properties = [:]
        def parent = object.getParent()
        if (parent != null && !parent.isRootObject())
            feature.parent = parent.getID().toString()
        def metadata = metadataOf(object)
        if (metadata)
            feature.properties.metadata = metadata
        return feature
    }

    /** Put, replace and remove: all of it or none. */
    Map<String, Object> change(Map<String, Object> request) {
        def image = images.withKey(request.image as String)
        def put = (request.put ?: []) as List<Map>
        def replace = (request.replace ?: []) as List<Map>
        def remove = ((request.remove ?: []) as List<String>)*.toLowerCase()
        def fresh = (put + replace).collect { read(it) }
        def hierarchy = image.data.getHierarchy()
        synchronized (hierarchy) {
            def wanted = request.revision
            long revision = image.revision.get()
            if (wanted != null && wanted != revision)
                throw new WireFault("conflict",
                    "The image is at revision ${revision}, not ${wanted}: it was changed since.")
            def there = hierarchy.getAllObjects(false).collectEntries { [(it.getID().toString()): it] }
            check(put*.id*.toLowerCase(), replace*.id*.toLowerCase(), remove, there)
            def old = (replace*.id*.toLowerCase() + remove).collect { there[it] }
            apply(hierarchy, old, fresh)
            return [put: put.size(), replaced: replace.size(), removed: remove.size(),
                    revision: image.revision.get()]
        }
    }

    private static void check(List put, List replace, List remove, Map there) {
        def twice = put.find { there.containsKey(it) }
        if (twice != null)
            throw new WireFault("conflict", "The image has object ${twice} already; nothing was changed.")
        def gone = (replace + remove).find { !there.containsKey(it) }
        if (gone != null)
            throw new WireFault("conflict", "The image has no object ${gone}; nothing was changed.")
        def named = put + replace + remove
        if ((named as Set).size() < named.size())
            throw new WireFault("conflict", "The change names an object twice; nothing was changed.")
    }

    /** Where QuPath refuses half way, what was there before comes back. */
    private static void apply(hierarchy, List<PathObject> old, List<PathObject> fresh) {
        try {
            if (old)
                hierarchy.removeObjects(old, true)
            if (fresh)
                hierarchy.addObjects(fresh)
        } catch (RuntimeException e) {
            def now = hierarchy.getAllObjects(false) as Set
            hierarchy.removeObjects(fresh.findAll { now.contains(it) }, true)
            hierarchy.addObjects(old.findAll { !now.contains(it) })
            throw new WireFault("failed", "QuPath refused the change: ${e.message}; nothing was changed.")
        }
    }

    /** Save, as File > Save does. */
    Map<String, Object> save(Map<String, Object> request) {
        def image = images.withKey(request.image as String)
        def entry = images.entryOf(image)
        if (entry == null)
            throw new WireFault("unsupported", "The image is in no project: save it in QuPath.")
        try {
            long revision = image.revision.get()
            Fx.call { entry.saveImageData(image.data) }
            return [revision: revision]
        } catch (IOException e) {
            def readOnly = e instanceof java.nio.file.AccessDeniedException ||
                e instanceof java.nio.file.ReadOnlyFileSystemException || e.message?.contains("ermission denied") ||
                e.message?.contains("Read-only")
            throw new WireFault(readOnly ? "read_only" : "failed", "QuPath could not save: ${e.message}")
        }
    }

    static PathObject read(Map feature) {
        try {
            def tree = GsonTools.getInstance().toJsonTree(feature) as JsonObject
            def object = GsonTools.getInstance().fromJson(tree, PathObject)
            if (object == null || !object.hasROI())
                throw new WireFault("malformed", "Object ${feature.id} has no shape that QuPath can read.")
            restoreMetadata(object, feature)
            return object
        } catch (RuntimeException e) {
            if (e instanceof WireFault)
                throw e
            throw new WireFault("malformed", "Object ${feature.id} cannot be read by QuPath: ${e.message}")
        }
    }

    /** QuPath 0.4 reads no metadata from GeoJSON: set what is missing. */
    private static void restoreMetadata(PathObject object, Map feature) {
        def said = feature.properties?.metadata as Map
        if (!said)
            return
        def there = metadataOf(object) ?: [:]
        said.each { key, value ->
            if (there[key] != value)
                Troubles.attempt("metadata of objects") { storeMetadata(object, key as String, value as String) }
        }
    }

    private static Map metadataOf(PathObject object) {
        if (object.metaClass.respondsTo(object, "getMetadata"))
            return new LinkedHashMap(object.getMetadata())
        def method = PathObject.getDeclaredMethod("getUnmodifiableMetadataMap")
        method.setAccessible(true)
        return new LinkedHashMap(method.invoke(object) as Map)
    }

    /** Protected in QuPath, and the only way that works for every kind and version. */
    private static void storeMetadata(PathObject object, String key, String value) {
        def method = PathObject.getDeclaredMethod("storeMetadataValue", String, String)
        method.setAccessible(true)
        method.invoke(object, key, value)
    }
}
