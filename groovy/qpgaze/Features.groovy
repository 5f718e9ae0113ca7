package qpgaze

import com.google.gson.JsonArray
import com.google.gson.JsonElement
import com.google.gson.JsonNull
import com.google.gson.JsonObject
import com.google.gson.JsonPrimitive
import groovy.transform.CompileStatic
import org.locationtech.jts.geom.Coordinate
import org.locationtech.jts.geom.GeometryFactory
import org.locationtech.jts.geom.MultiLineString
import qupath.lib.geom.Point2
import qupath.lib.io.GsonTools
import qupath.lib.measurements.MeasurementList
import qupath.lib.measurements.MeasurementListFactory
import qupath.lib.objects.PathAnnotationObject
import qupath.lib.objects.PathDetectionObject
import qupath.lib.objects.PathObject
import qupath.lib.objects.PathObjects
import qupath.lib.objects.classes.PathClass
import qupath.lib.regions.ImagePlane
import qupath.lib.roi.EllipseROI
import qupath.lib.roi.PolygonROI
import qupath.lib.roi.ROIs
import qupath.lib.roi.RectangleROI
import qupath.lib.roi.interfaces.ROI

import java.lang.reflect.Method

/**
 * QuPath's objects as GeoJSON Features and back.
 *
 * Plain shapes (a ring, an ellipse, a line, points) are made here: QuPath's own GeoJSON rounds each and
 * unites its rings anew, which takes seconds for ten thousand. Everything else goes through QuPath's own.
 */
@CompileStatic
final class Features {

    private static final GeometryFactory FACTORY = new GeometryFactory()
    /** Points of an ellipse's outline; a multiple of four, so that it reaches its bounds. */
    private static final int ELLIPSE_POINTS = 64
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

    // -- to QuPath -----------------------------------------------------------------------------

    static PathObject read(Map feature) {
        try {
            PathObject object = knownObject(feature) ?: anyObject(feature)
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

    /** An object of a kind that the store writes; null where QuPath's own GeoJSON is to read it. */
    private static PathObject knownObject(Map feature) {
        Map properties = feature.get("properties") as Map ?: [:]
        if (properties.get("childObjects"))
            return null
        ROI roi = shape(feature.get("geometry") as Map)
        PathClass pathClass = classOf(properties.get("classification"))
        PathObject object
        switch (properties.get("objectType")) {
            case "annotation":
                object = PathObjects.createAnnotationObject(roi)
                break
            case "detection":
                object = PathObjects.createDetectionObject(roi, pathClass, exact())
                break
            case "tile":
                object = PathObjects.createTileObject(roi, pathClass, exact())
                break
            case "cell":
                Map nucleus = feature.get("nucleusGeometry") as Map
                object = PathObjects.createCellObject(roi, nucleus ? shape(nucleus) : null, pathClass, exact())
                break
            default:
                return null
        }
        object.setID(UUID.fromString((String) feature.get("id")))
        if (properties.get("name") != null)
            object.setName(String.valueOf(properties.get("name")))
        if (pathClass != null)
            object.setPathClass(pathClass)
        if (properties.get("color") != null) // a class takes the object's own colour away
            object.setColor(rgb(properties.get("color")))
        if (properties.get("isLocked") == Boolean.TRUE)
            object.setLocked(true)
        Map<String, Object> measurements = properties.get("measurements") as Map
        if (measurements) {
            MeasurementList list = object.getMeasurementList()
            for (Map.Entry<String, Object> one : measurements.entrySet())
                list.put(one.key, number(one.value))
            list.close()
        }
        return object
    }

    /**
     * QuPath keeps what it measures of detections in single precision; what came is kept as it came.
     * Its list of type DOUBLE rounds, too.
     */
    private static MeasurementList exact() {
        return MeasurementListFactory.createMeasurementList(16, MeasurementList.MeasurementListType.GENERAL)
    }

    private static ROI shape(Map geometry) {
        if (!geometry)
            throw new WireFault("malformed", "An object without a shape cannot be put into an image.")
        return plainShape(geometry) ?: GsonTools.getInstance().getAdapter(ROI).fromJsonTree(tree(geometry))
    }

    /** A ring, an ellipse, a line or points; null for what is more. */
    private static ROI plainShape(Map geometry) {
        ImagePlane plane = planeOf(geometry.get("plane") as Map)
        List coordinates = geometry.get("coordinates") as List
        switch (geometry.get("type")) {
            case "Point":
                return ROIs.createPointsROI(at(coordinates, 0), at(coordinates, 1), plane)
            case "MultiPoint":
                return ROIs.createPointsROI(all(coordinates, 0, 0), all(coordinates, 1, 0), plane)
            case "LineString":
                double[] xs = all(coordinates, 0, 0), ys = all(coordinates, 1, 0)
                return xs.length == 2 ? ROIs.createLineROI(xs[0], ys[0], xs[1], ys[1], plane)
                    : ROIs.createPolylineROI(xs, ys, plane)
            case "Polygon":
                return coordinates.size() == 1 ? ring((List) coordinates.get(0), geometry.get("isEllipse") == true, plane) : null
            default:
                return null
        }
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
        if (!plane)
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
        Map named = said as Map
        if (!named)
            return null
        Integer color = named.get("color") == null ? null : rgb(named.get("color"))
        List names = named.get("names") as List ?: [named.get("name")]
        return PathClass.fromCollection(names as List<String>, color)
    }

    private static double number(Object value) {
        if (value instanceof Number)
            return ((Number) value).doubleValue()
        return value == null ? Double.NaN : Double.parseDouble(String.valueOf(value))
    }

    /** QuPath 0.4 reads no metadata from GeoJSON: set what is missing. */
    private static void restoreMetadata(PathObject object, Map feature) {
        Map<String, Object> said = ((Map) feature.get("properties"))?.get("metadata") as Map
        if (!said)
            return
        Map there = metadataOf(object)
        for (Map.Entry<String, Object> one : said.entrySet())
            if (there.get(one.key) != one.value)
                Troubles.attempt("metadata of objects") {
                    STORE_METADATA.invoke(object, one.key, String.valueOf(one.value))
                }
    }

    private static Map<String, String> metadataOf(PathObject object) {
        Map found = (Map) (METADATA ?: METADATA_04).invoke(object)
        return new LinkedHashMap<String, String>(found)
    }

    // -- from QuPath ---------------------------------------------------------------------------

    static Map<String, Object> write(PathObject object) {
        Map<String, Object> feature = plainFeature(object) ?: anyFeature(object)
        PathObject parent = object.getParent()
        if (parent != null && !parent.isRootObject())
            feature.put("parent", parent.getID().toString())
        Map metadata = metadataOf(object)
        if (metadata)
            ((Map) feature.get("properties")).put("metadata", metadata)
        return feature
    }

    private static Map<String, Object> anyFeature(PathObject object) {
        Map<String, Object> feature = (Map<String, Object>) Json.parse(GsonTools.getInstance().toJson(object, PathObject))
        feature.put("id", object.getID().toString())
        feature.putIfAbsent("geometry", null)
        feature.putIfAbsent("properties", [:])
        return feature
    }

    /** An annotation or detection of a plain shape; null where QuPath's own GeoJSON is to write it. */
    private static Map<String, Object> plainFeature(PathObject object) {
        boolean annotation = object.class.is(PathAnnotationObject)
        if (!annotation && !object.class.is(PathDetectionObject))
            return null
        Map<String, Object> geometry = plainGeometry(object.getROI())
        if (geometry == null)
            return null
        Map<String, Object> properties = [objectType: (Object) (annotation ? "annotation" : "detection")]
        if (object.getName() != null)
            properties.put("name", object.getName())
        Integer color = object.getColor()
        if (color != null)
            properties.put("color", parts(color))
        PathClass pathClass = object.getPathClass()
        if (pathClass != null && !pathClass.is(PathClass.NULL_CLASS))
            properties.put("classification", classification(pathClass))
        if (object.isLocked())
            properties.put("isLocked", true)
        MeasurementList list = object.getMeasurementList()
        if (!list.isEmpty()) {
            Map<String, Object> measurements = [:]
            for (String name : list.getMeasurementNames())
                measurements.put(name, spelled(list.get(name)))
            properties.put("measurements", measurements)
        }
        return [type: (Object) "Feature", id: object.getID().toString(), geometry: geometry, properties: properties]
    }

    /** As QuPath's own GeoJSON and the store say it. */
    private static Map<String, Object> classification(PathClass pathClass) {
        List<String> names = namesOf(pathClass)
        Map<String, Object> said = names.size() == 1 ? [name: (Object) names[0]] : [names: (Object) names]
        said.put("color", parts(pathClass.getColor()))
        return said
    }

    private static List<String> namesOf(PathClass pathClass) {
        LinkedList<String> names = new LinkedList<>()
        for (PathClass one = pathClass; one != null && one.getName() != null; one = one.getParentClass())
            names.addFirst(one.getName())
        return names
    }

    private static List<Integer> parts(int color) {
        return [(color >> 16) & 0xFF, (color >> 8) & 0xFF, color & 0xFF]
    }

    private static Object spelled(double value) {
        return Double.isFinite(value) ? (Object) value : String.valueOf(value)
    }

    private static Map<String, Object> plainGeometry(ROI roi) {
        if (roi.isLine() && roi.getGeometry() instanceof MultiLineString)
            return onPlane("MultiLineString", linesOf((MultiLineString) roi.getGeometry()), roi)
        List<List<Double>> corners
        boolean ellipse = roi instanceof EllipseROI
        if (ellipse)
            corners = outline(roi)
        else if (roi instanceof RectangleROI) {
            double x = roi.getBoundsX(), y = roi.getBoundsY(), x1 = x + roi.getBoundsWidth(), y1 = y + roi.getBoundsHeight()
            corners = [[x, y], [x1, y], [x1, y1], [x, y1]]
        } else if (roi instanceof PolygonROI) {
            corners = new ArrayList<List<Double>>()
            for (Point2 point : roi.getAllPoints())
                corners.add([point.getX(), point.getY()])
        } else
            return null
        if (corners.size() > 1 && corners.first() == corners.last())
            corners.remove(corners.size() - 1)
        // A line that crosses itself, drawn by hand: QuPath makes a shape of it.
        if (corners.size() < 3 || !valid(corners))
            return null
        corners.add(corners.first())
        return onPlane("Polygon", [corners], roi) + (ellipse ? [isEllipse: (Object) true] : [:])
    }

    private static Map<String, Object> onPlane(String type, List coordinates, ROI roi) {
        Map<String, Object> geometry = [type: (Object) type, coordinates: coordinates]
        ImagePlane plane = roi.getImagePlane()
        if (plane != ImagePlane.getDefaultPlane())
            geometry.put("plane", [c: plane.getC(), z: plane.getZ(), t: plane.getT()])
        return geometry
    }

    /** Of lines that were merged into one object; before 0.8, QuPath's own GeoJSON calls itself without end here. */
    private static List linesOf(MultiLineString lines) {
        return (0..<lines.getNumGeometries()).collect { lines.getGeometryN(it).getCoordinates().collect { [it.x, it.y] } }
    }

    private static boolean valid(List<List<Double>> corners) {
        int n = corners.size()
        Coordinate[] ring = new Coordinate[n + 1]
        for (int i = 0; i <= n; i++)
            ring[i] = new Coordinate(corners.get(i % n).get(0), corners.get(i % n).get(1))
        return FACTORY.createPolygon(ring).isValid()
    }

    private static List<List<Double>> outline(ROI roi) {
        double rx = roi.getBoundsWidth() / 2, ry = roi.getBoundsHeight() / 2
        double x = roi.getBoundsX(), y = roi.getBoundsY()
        List<List<Double>> points = new ArrayList<>()
        for (int i = 0; i < ELLIPSE_POINTS; i++) {
            double angle = 2 * Math.PI * i / ELLIPSE_POINTS
            points.add([x + rx * (1 + side(Math.cos(angle))), y + ry * (1 + side(Math.sin(angle)))])
        }
        return points
    }

    /** Sine and cosine of a quarter turn are whole numbers, but for the last bit. */
    private static double side(double value) {
        return Math.abs(value) < 1e-12 ? 0d : value
    }
}
