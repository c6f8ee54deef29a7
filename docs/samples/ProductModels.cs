// Which recognition model is in use, for a .NET backend; see docs/how-to/use-models-in-your-code.md.
// services.AddHttpClient<ProductModels>(client => client.BaseAddress = new Uri("https://shop.example/"));

using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Serialization;

namespace Shop.Models;

/// <summary>ml-models/current.json: the version in use, and the keys of its files.</summary>
public sealed record ModelPointer(
    [property: JsonPropertyName("version")] string Version,
    [property: JsonPropertyName("model")] string Model,
    [property: JsonPropertyName("metadata")] string Metadata,
    [property: JsonPropertyName("sha256")] string MetadataSha256);

/// <summary>The part of ml-models/VERSION/metadata.json that a backend needs.</summary>
public sealed record ModelMetadata(
    [property: JsonPropertyName("version")] string Version,
    [property: JsonPropertyName("trained_at")] DateTimeOffset TrainedAt,
    [property: JsonPropertyName("preprocessing")] ModelPreprocessing Preprocessing,
    [property: JsonPropertyName("metrics")] ModelMetrics Metrics,
    [property: JsonPropertyName("groups")] IReadOnlyList<IReadOnlyList<string>>? Groups)
{
    /// <summary>All products the model can answer with.</summary>
    public IReadOnlyList<string> Products => Preprocessing.Classes;
}

public sealed record ModelPreprocessing([property: JsonPropertyName("classes")] IReadOnlyList<string> Classes);

public sealed record ModelMetrics(
    [property: JsonPropertyName("top1")] double Top1,
    [property: JsonPropertyName("top3")] double Top3,
    [property: JsonPropertyName("photos")] int Photos,
    [property: JsonPropertyName("condition")] string? Condition);

/// <summary>Asks for the pointer at most once a minute, with its ETag, and reads the metadata of a new version once.</summary>
public sealed class ProductModels(HttpClient http, TimeProvider time)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);
    private readonly SemaphoreSlim gate = new(1, 1);
    private EntityTagHeaderValue? etag;
    private ModelMetadata? current;
    private DateTimeOffset checkedAt = DateTimeOffset.MinValue;

    /// <summary>The metadata of the model in use, or null before the first one is published.</summary>
    public async Task<ModelMetadata?> GetCurrentAsync(CancellationToken cancel = default)
    {
        await gate.WaitAsync(cancel);
        try
        {
            if (time.GetUtcNow() - checkedAt < Interval) return current;
            using var request = new HttpRequestMessage(HttpMethod.Get, "ml-models/current.json");
            if (etag is not null) request.Headers.IfNoneMatch.Add(etag);
            using var response = await http.SendAsync(request, cancel);
            checkedAt = time.GetUtcNow();
            if (response.StatusCode is HttpStatusCode.NotModified) return current;
            if (response.StatusCode is HttpStatusCode.NotFound or HttpStatusCode.Forbidden) return current = null;
            response.EnsureSuccessStatusCode();
            var pointer = await response.Content.ReadFromJsonAsync<ModelPointer>(cancel)
                ?? throw new InvalidDataException("current.json is empty");
            current = await http.GetFromJsonAsync<ModelMetadata>(pointer.Metadata, cancel);
            etag = response.Headers.ETag;
            return current;
        }
        finally
        {
            gate.Release();
        }
    }
}
