package qpgaze

import groovy.transform.CompileDynamic
import groovy.transform.CompileStatic
import org.slf4j.Logger
import org.slf4j.LoggerFactory
import qupath.lib.objects.PathObject
import qupath.lib.objects.hierarchy.PathObjectHierarchy

import java.nio.file.AccessDeniedException
import java.nio.file.ReadOnlyFileSystemException

/**
 * Objects of an open image, as GeoJSON Features: read, put, replaced, removed, saved.
 *
 * None of it but saving runs on the JavaFX thread. Painting and QuPath's lists ask for the hierarchy's
 * lock, so shapes are made before it is taken and nothing but the exchange itself happens under it: one
 * event tells all of it, however much it is.
 */
@CompileStatic
final class Objects {

    private static final int PAGE_BYTES = 1 << 19
    private static final Logger log = LoggerFactory.getLogger("qpgaze")

    private final Images images

    Objects(Images images) {
        this.images = images
    }

    static PathObject read(Map feature) {
        return Features.read(feature)
    }

    /** A page of an image's objects, each once and without the objects under it. */
    Map<String, Object> page(Map<String, Object> request) {
        Images.Open image = images.withKey((String) request.get("image"))
        Images.Listing listing = image.listing()
        List<PathObject> every = listing.objects
        int start = Math.min(((Number) (request.get("start") ?: 0)).intValue(), every.size())
        List<Map<String, Object>> found = []
        long size = 0
        for (PathObject object : every.subList(start, every.size())) {
            Map<String, Object> feature = FeatureWriter.write(object)
            size += Json.text(feature).length()
            if (found && size > PAGE_BYTES)
                break
            found << feature
        }
        int end = start + found.size()
        return [objects: (Object) found, next: end < every.size() ? end : null, total: every.size(),
                revision: listing.revision]
    }

    /**
     * Read a part of a change when it comes. QuPath collects its garbage at a change of an image, and
     * stands still: the text of ten thousand labels would be a million things more to look through.
     */
    Map<String, Object> part(Map<String, Object> request) {
        images.withKey((String) request.get("image"))
        Map<String, Object> read = new LinkedHashMap<>(request)
        for (String list : ["put", "replace"])
            read.put(list, ((List<Map>) (request.get(list) ?: [])).collect { Map one -> new Exchange.Coming(one) })
        return read
    }

    /** Put, replace and remove, as the parts were read: all of it or none. */
    Map<String, Object> change(Map<String, Object> request) {
        Images.Open image = images.withKey((String) request.get("image"))
        Exchange exchange = new Exchange(
            (List<Exchange.Coming>) request.get("put"), (List<Exchange.Coming>) request.get("replace"),
            (List<String>) request.get("remove"))
        PathObjectHierarchy hierarchy = image.data.getHierarchy()
        Object wanted = request.get("revision")
        long revision
        synchronized (hierarchy) {
            revision = image.revision.get()
            if (wanted != null && ((Number) wanted).longValue() != revision)
                throw new WireFault("conflict",
                    "The image is at revision ${revision}, not ${wanted}: it was changed since.")
            exchange.make(hierarchy)
            revision = image.revision.get()
        }
        images.learnClasses(exchange.fresh)
        keepSelection(hierarchy, exchange)
        return [put: (Object) exchange.put.size(), replaced: exchange.swapped.size(),
                removed: exchange.removed.size(), revision: revision]
    }

    /** Who had selected what was replaced has its successor selected; what is gone is selected no more. */
    private static void keepSelection(PathObjectHierarchy hierarchy, Exchange exchange) {
        if (!exchange.swapped && !exchange.removed)
            return
        Fx.later("selected objects") {
            def model = hierarchy.getSelectionModel()
            List<PathObject> old = new ArrayList<PathObject>(model.getSelectedObjects())
            List<PathObject> now = old.findAll { !exchange.removed.contains(it) }
                .collect { PathObject one -> exchange.swapped.get(one) ?: one }
            if (now != old)
                model.setSelectedObjects(now, now ? now.last() : null)
        }
    }

    /** Save, as File > Save does; where a revision is named, only what the image was at that. */
    @CompileDynamic
    Map<String, Object> save(Map<String, Object> request) {
        def image = images.withKey(request.image as String)
        def entry = images.entryOf(image)
        if (entry == null)
            throw new WireFault("unsupported", "The image is in no project: save it in QuPath.")
        try {
            return Fx.call {
                long revision = image.revision.get()
                if (request.revision != null && request.revision != revision)
                    throw new WireFault("conflict", "The image is at revision ${revision}, not " +
                        "${request.revision}: it was changed since, and nothing was saved.")
                entry.saveImageData(image.data)
                return [revision: revision]
            }
        } catch (IOException e) {
            log.warn("qpgaze: saving", e)
            def readOnly = e instanceof AccessDeniedException || e instanceof ReadOnlyFileSystemException ||
                e.message?.contains("ermission denied") || e.message?.contains("Read-only")
            def full = e.message?.contains("No space left") || e.message?.contains("not enough space")
            throw new WireFault(readOnly ? "read_only" : "failed", "QuPath could not save: " +
                (readOnly ? "nothing can be written in the project's folder." : full ? "the disk is full." : e.message))
        }
    }
}
