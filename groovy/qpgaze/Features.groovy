package qpgaze

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject
import com.google.gson.JsonPrimitive
import groovy.transform.CompileStatic
import qupath.lib.io.GsonTools
import qupath.lib.measurements.MeasurementList
import qupath.lib.measurements.MeasurementListFactory
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjects
import qupath.lib.objects.classes.PathClass
import qupath.lib.regions.ImagePlane
import qupath.lib.roi.ROIs
import qupath.lib.roi.interfaces.ROI

import java.lang.reflect.Method

/**
 * GeoJSON Features as QuPath's objects; FeatureWriter is the way back.
 *
 * Plain shapes (a ring, an ellipse, a line, points) are made here: QuPath's own GeoJSON rounds each and
 * unites its rings anew, which takes seconds for ten thousand. Everything else goes through QuPath's own.
 */
@CompileStatic
final class Features {

    /** Absent from QuPath 0.4. */
    private static final Method METADATA = method("getMetadata")
    private static final Method METADATA_04 = method("getUnmodifiableMetadataMap")
    /** Protected in QuPath, and the only way that works for every kind and version. */
    private static final Method STORE_METADATA = method("storeMetadataValue", String, String)

    private Features() {}

    private static Method method(String name, Class... parameters) {
        try {
            Method found = PathObject.getDeclaredMethod(name, parameters)
            found.setAccessible(true)
            return found
        } catch (NoSuchMethodException e) {
            return null
        }
    }

    static PathObject read(Map feature) {
        try {
            PathObject object = knownObject(feature)
            if (object == null)
                object = anyObject(feature)
            if (object == null || !object.hasROI())
                throw new WireFault("malformed", "Object ${feature.get('id')} has no shape that QuPath can read.")
            restoreMetadata(object, feature)
            return object
        } catch (WireFault e) {
            throw e
        } catch (RuntimeException e) {
            throw new WireFault("malformed", "Object ${feature.get('id')} cannot be read by QuPath: ${e.message}")
        }
    }

    private static PathObject anyObject(Map feature) {
        return GsonTools.getInstance().getAdapter(PathObject).fromJsonTree(tree(feature))
    }

    private static JsonElement tree(Object value) {
        if (value instanceof Map) {
            JsonObject object = new JsonObject()
            for (Map.Entry one : ((Map) value).entrySet())
                object.add(String.valueOf(one.key), tree(one.value))
            return object
        }
        if (value instanceof Collection) {
            JsonArray array = new JsonArray()
            for (Object one : (Collection) value)
                array.add(tree(one))
            return array
        }
        if (value instanceof Number)
            return new JsonPrimitive((Number) value)
        if (value instanceof Boolean)
            return new JsonPrimitive((Boolean) value)
        return value == null ? JsonNull.INSTANCE : new JsonPrimitive(String.valueOf(value))
    }

    /**
     * An object of a kind that the store writes; null where QuPath's own GeoJSON is to read it.
     *
     * Casts and comparisons of Java's here and below: 'as', 'switch' and a truth of Groovy's are looked
     * up at run time, ten thousand times over.
     */
    private static PathObject knownObject(Map feature) {
        Map properties = part(feature, "properties")
        if (filled(properties.get("childObjects")))
            return null
        ROI roi = shape((Map) feature.get("geometry"))
        PathClass pathClass = classOf(properties.get("classification"))
        PathObject object = ofKind((String) properties.get("objectType"), feature, roi, pathClass)
        if (object == null)
            return null
        object.setID(UUID.fromString((String) feature.get("id")))
        if (properties.get("name") != null)
            object.setName(String.valueOf(properties.get("name")))
        if (pathClass != null)
            object.setPathClass(pathClass)
        if (properties.get("color") != null) // a class takes the object's own colour away
            object.setColor(rgb(properties.get("color")))
        if (Boolean.TRUE.equals(properties.get("isLocked")))
            object.setLocked(true)
        Map<String, Object> measurements = part(properties, "measurements")
        if (!measurements.isEmpty()) {
            MeasurementList list = object.getMeasurementList()
            for (Map.Entry<String, Object> one : measurements.entrySet())
                list.put(one.key, number(one.value))
            list.close()
        }
        return object
    }

    private static PathObject ofKind(String kind, Map feature, ROI roi, PathClass pathClass) {
        if ("annotation".equals(kind))
            return PathObjects.createAnnotationObject(roi)
        if ("detection".equals(kind))
            return PathObjects.createDetectionObject(roi, pathClass, exact())
        if ("tile".equals(kind))
            return PathObjects.createTileObject(roi, pathClass, exact())
        if (!"cell".equals(kind))
            return null
        Map nucleus = part(feature, "nucleusGeometry")
        return PathObjects.createCellObject(roi, nucleus.isEmpty() ? null : shape(nucleus), pathClass, exact())
    }

    /** A part of a Feature; empty where it has none. */
    private static Map part(Map whole, String name) {
        Map found = (Map) whole.get(name)
        return found == null ? Collections.emptyMap() : found
    }

    private static boolean filled(Object value) {
        return value != null && !(value instanceof Collection && ((Collection) value).isEmpty())
    }

    /**
     * QuPath keeps what it measures of detections in single precision; what came is kept as it came.
     * Its list of type DOUBLE rounds, too.
     */
    private static MeasurementList exact() {
        return MeasurementListFactory.createMeasurementList(16, MeasurementList.MeasurementListType.GENERAL)
    }

    private static ROI shape(Map geometry) {
        if (geometry == null || geometry.isEmpty())
            throw new WireFault("malformed", "An object without a shape cannot be put into an image.")
        ROI plain = plainShape(geometry)
        return plain != null ? plain : GsonTools.getInstance().getAdapter(ROI).fromJsonTree(tree(geometry))
    }

    /** A ring, an ellipse, a line or points; null for what is more. */
    private static ROI plainShape(Map geometry) {
        ImagePlane plane = planeOf(part(geometry, "plane"))
        List coordinates = (List) geometry.get("coordinates")
        String type = (String) geometry.get("type")
        if ("Polygon".equals(type)) {
            boolean ellipse = Boolean.TRUE.equals(geometry.get("isEllipse"))
            return coordinates.size() == 1 ? ring((List) coordinates.get(0), ellipse, plane) : null
        }
        if ("Point".equals(type))
            return ROIs.createPointsROI(at(coordinates, 0), at(coordinates, 1), plane)
        if ("MultiPoint".equals(type))
            return ROIs.createPointsROI(all(coordinates, 0, 0), all(coordinates, 1, 0), plane)
        if (!"LineString".equals(type))
            return null
        double[] xs = all(coordinates, 0, 0), ys = all(coordinates, 1, 0)
        return xs.length == 2 ? ROIs.createLineROI(xs[0], ys[0], xs[1], ys[1], plane)
            : ROIs.createPolylineROI(xs, ys, plane)
    }

    private static ROI ring(List corners, boolean ellipse, ImagePlane plane) {
        double[] xs = all(corners, 0, 1), ys = all(corners, 1, 1)
        if (xs.length < 3)
            return null
        double x = xs.min(), y = ys.min(), width = xs.max() - x, height = ys.max() - y
        if (ellipse)
            return ROIs.createEllipseROI(x, y, width, height, plane)
        if (xs.length == 4 && upright(xs, ys))
            return ROIs.createRectangleROI(x, y, width, height, plane)
        return ROIs.createPolygonROI(xs, ys, plane)
    }

    private static boolean upright(double[] xs, double[] ys) {
        boolean first = xs[0] == xs[1] && ys[1] == ys[2] && xs[2] == xs[3] && ys[3] == ys[0]
        return first || (ys[0] == ys[1] && xs[1] == xs[2] && ys[2] == ys[3] && xs[3] == xs[0])
    }

    /** One coordinate of each point, but of the last ones. */
    private static double[] all(List points, int which, int butLast) {
        double[] found = new double[Math.max(0, points.size() - butLast)]
        for (int i = 0; i < found.length; i++)
            found[i] = at((List) points.get(i), which)
        return found
    }

    private static double at(List point, int which) {
        return ((Number) point.get(which)).doubleValue()
    }

    private static ImagePlane planeOf(Map plane) {
        if (plane.isEmpty())
            return ImagePlane.getDefaultPlane()
        return ImagePlane.getPlaneWithChannel(whole(plane.get("c"), -1), whole(plane.get("z"), 0), whole(plane.get("t"), 0))
    }

    private static int whole(Object value, int otherwise) {
        return value == null ? otherwise : ((Number) value).intValue()
    }

    private static Integer rgb(Object color) {
        if (color instanceof Number)
            return ((Number) color).intValue()
        List parts = (List) color
        return (Integer) (0xFF000000.intValue() | (part(parts, 0) << 16) | (part(parts, 1) << 8) | part(parts, 2))
    }

    private static int part(List parts, int which) {
        return ((Number) parts.get(which)).intValue() & 0xFF
    }

    private static PathClass classOf(Object said) {
        if (said instanceof String)
            return PathClass.fromString((String) said)
        Map named = (Map) said
        if (named == null || named.isEmpty())
            return null
        Integer color = named.get("color") == null ? null : rgb(named.get("color"))
        List<String> names = (List<String>) (filled(named.get("names")) ? named.get("names") : [named.get("name")])
        return PathClass.fromCollection(names, color)
    }

    private static double number(Object value) {
        if (value instanceof Number)
            return ((Number) value).doubleValue()
        return value == null ? Double.NaN : Double.parseDouble(String.valueOf(value))
    }

    /** QuPath 0.4 reads no metadata from GeoJSON: set what is missing. */
    private static void restoreMetadata(PathObject object, Map feature) {
        Map<String, Object> said = part(part(feature, "properties"), "metadata")
        if (said.isEmpty())
            return
        Map there = keptMetadata(object)
        for (Map.Entry<String, Object> one : said.entrySet())
            if (!java.util.Objects.equals(there.get(one.key), one.value))
                store(object, one.key, String.valueOf(one.value))
    }

    private static void store(PathObject object, String key, String value) {
        try {
            STORE_METADATA.invoke(object, key, value)
        } catch (Exception e) {
            Troubles.once("metadata of objects", "failed: ${e}")
        }
    }

    private static Map keptMetadata(PathObject object) {
        return (Map) (METADATA != null ? METADATA : METADATA_04).invoke(object)
    }

    static Map<String, String> metadataOf(PathObject object) {
        return new LinkedHashMap<String, String>(keptMetadata(object))
    }
}
