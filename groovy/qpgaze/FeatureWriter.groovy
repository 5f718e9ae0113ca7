package qpgaze

import groovy.transform.CompileStatic
import org.locationtech.jts.geom.Coordinate
import org.locationtech.jts.geom.GeometryFactory
import org.locationtech.jts.geom.MultiLineString
import qupath.lib.geom.Point2
import qupath.lib.io.GsonTools
import qupath.lib.measurements.MeasurementList
import qupath.lib.objects.PathAnnotationObject
import qupath.lib.objects.PathDetectionObject
import qupath.lib.objects.PathObject
import qupath.lib.objects.classes.PathClass
import qupath.lib.regions.ImagePlane
import qupath.lib.roi.EllipseROI
import qupath.lib.roi.PolygonROI
import qupath.lib.roi.RectangleROI
import qupath.lib.roi.interfaces.ROI

/** QuPath's objects as GeoJSON Features; Features is the way back. */
@CompileStatic
final class FeatureWriter {

    private static final GeometryFactory FACTORY = new GeometryFactory()
    /** Points of an ellipse's outline; a multiple of four, so that it reaches its bounds. */
    private static final int ELLIPSE_POINTS = 64

    private FeatureWriter() {}

    static Map<String, Object> write(PathObject object) {
        Map<String, Object> feature = plainFeature(object) ?: anyFeature(object)
        PathObject parent = object.getParent()
        if (parent != null && !parent.isRootObject())
            feature.put("parent", parent.getID().toString())
        Map metadata = Features.metadataOf(object)
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
